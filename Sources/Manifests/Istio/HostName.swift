/// Host names and host patterns of Istio's resources.
enum HostName {
    /// True for a DNS name, or one whose first label is or begins with `*`.
    static func isValid(_ text: String) -> Bool {
        let name = text.hasPrefix("*") ? text.dropFirst() : text[...]
        if name.isEmpty { return text == "*" }
        let trimmed = name.hasPrefix(".") && text.hasPrefix("*") ? name.dropFirst() : name
        guard trimmed.utf8.count <= 255 else { return false }
        let labels = (trimmed.hasSuffix(".") ? trimmed.dropLast() : trimmed)
            .split(separator: ".", omittingEmptySubsequences: false)
        return labels.allSatisfy { label in
            (1...63).contains(label.utf8.count) && label.first != "-" && label.last != "-"
                && label.utf8.allSatisfy { byte in
                    (48...57).contains(byte) || (97...122).contains(byte) || (65...90).contains(byte) || byte == 45
                        || byte == 95
                }
        }
    }

    /// True for one label of a DNS name: at most 63 letters, digits and `-`.
    static func isLabel(_ text: String) -> Bool { !text.contains(".") && !text.contains("*") && isValid(text) }

    /// True where every name that `inner` stands for is one that `outer` stands for.
    static func isWithin(_ inner: String, _ outer: String) -> Bool {
        let (inner, outer) = (inner.lowercased(), outer.lowercased())
        guard outer.hasPrefix("*") else { return inner == outer }
        return inner.hasSuffix(outer.dropFirst()) && (inner != String(outer.dropFirst()) || outer == "*")
    }
}

extension FieldReader {
    /// `exportTo`: `*`, `.`, `~` or namespaces.
    var exportTo: [String] {
        let values = list.compactMap(\.string)
        if values.count > 1, values.contains("*") || values.contains("~") {
            error("* and ~ can't be combined with other values")
        }
        return values.isEmpty ? ["*"] : values
    }

    /// A port's protocol as Istio names it; case does not matter.
    var portProtocol: PortProtocol? {
        guard let text = string else { return nil }
        let known = PortProtocol.allCases.filter { $0 != .unspecified }
        if let value = known.first(where: { $0.rawValue.lowercased() == text.lowercased() }) { return value }
        if ["hbone", "double-hbone", "unsupported"].contains(text.lowercased()) {
            refuse("protocol \(text) is not supported yet")
            return nil
        }
        let names = known.map(\.rawValue)
        error(
            "unknown protocol \"\(text)\"",
            remedy: NearestName.remedy(for: text, among: names) ?? "use one of \(names.joined(separator: ", "))")
        return nil
    }
}
