/// The names of fields that an object may have.
struct FieldNames: Sendable, ExpressibleByStringLiteral {
    let names: Set<String>

    init(_ names: Set<String>) { self.names = names }

    init(stringLiteral text: String) {
        names = Set(text.split(whereSeparator: \.isWhitespace).map(String.init))
    }
}

/// A value of a manifest while it is being read: where it is, what it is called, and where problems are told.
struct FieldReader {
    /// What all fields of one object share.
    final class Subject {
        let kind: String
        let log: DiagnosticLog
        /// Istio takes the protobuf spelling of its fields too: `sni_hosts` for `sniHosts`.
        let acceptsSnakeCase: Bool
        /// How bad a field is that the kind does not have.
        let unknownField: Diagnostic.Severity

        init(
            kind: String, log: DiagnosticLog, acceptsSnakeCase: Bool = false,
            unknownField: Diagnostic.Severity = .warning
        ) {
            self.kind = kind
            self.log = log
            self.acceptsSnakeCase = acceptsSnakeCase
            self.unknownField = unknownField
        }
    }

    let node: ManifestNode
    /// `spec.ports[0].number`; empty for the object itself.
    let path: String
    let subject: Subject

    var location: SourceLocation { node.location }

    // MARK: Telling

    func say(
        _ severity: Diagnostic.Severity, _ message: String, remedy: String? = nil, at place: SourceLocation? = nil
    ) {
        let name = path.isEmpty ? "" : "\(path): "
        subject.log.add(Diagnostic(severity, name + message, remedy: remedy, at: place ?? location))
    }

    func error(_ message: String, remedy: String? = nil) { say(.error, message, remedy: remedy) }

    func warn(_ message: String, remedy: String? = nil) { say(.warning, message, remedy: remedy) }

    /// Refuses what is understood but not carried out.
    func refuse(_ what: String? = nil, remedy: String? = nil) {
        say(.unsupported, what ?? "not supported by this version", remedy: remedy)
    }

    private func mismatch(_ wanted: String, remedy: String? = nil) {
        error("expected \(wanted), found \(node.summary)", remedy: remedy)
    }

    // MARK: Children

    private func child(_ key: String, _ node: ManifestNode) -> FieldReader {
        let isPlain = key.utf8.allSatisfy { $0 != UInt8(ascii: ".") && $0 != UInt8(ascii: "/") }
        let name = isPlain ? key : "[\(key)]"
        return FieldReader(
            node: node, path: path.isEmpty ? name : isPlain ? "\(path).\(name)" : path + name, subject: subject)
    }

    /// The value under a key; nil where there is none or it is null. Says so when this is no mapping.
    subscript(key: String) -> FieldReader? {
        guard case .mapping = node.content else { return nil }
        if let value = node[key] { return child(key, value) }
        if subject.acceptsSnakeCase, let spelling = Self.snakeCase(key), let value = node[spelling] {
            return child(spelling, value)
        }
        return nil
    }

    /// The value under a key with the place of the key as it is spelt; nil as for the plain subscript.
    func keyed(_ key: String) -> (field: FieldReader, location: SourceLocation)? {
        guard let field = self[key], case .mapping(let entries) = node.content else { return nil }
        let spelling = node[key] != nil ? key : Self.snakeCase(key)
        return entries.first { $0.key == spelling }.map { (field, $0.location) }
    }

    /// The value under a key, which must be there.
    func required(_ key: String) -> FieldReader? {
        if let field = self[key] { return field }
        guard isMapping else { return nil }
        subject.log.add(Diagnostic(.error, "\(child(key, node).path) is required", at: location))
        return nil
    }

    var isMapping: Bool {
        if case .mapping = node.content { true } else { false }
    }

    var isList: Bool {
        if case .sequence = node.content { true } else { false }
    }

    /// The keys and values in order; says so when this is no mapping.
    var entries: [(key: String, location: SourceLocation, field: FieldReader)] {
        guard case .mapping(let entries) = node.content else {
            mismatch("a mapping")
            return []
        }
        return entries.map { ($0.key, $0.location, child($0.key, $0.value)) }
    }

    /// The elements of a list; says so when this is none.
    var list: [FieldReader] {
        guard case .sequence(let items) = node.content else {
            mismatch("a list")
            return []
        }
        return items.enumerated().map { index, item in
            FieldReader(node: item, path: "\(path)[\(index)]", subject: subject)
        }
    }

    /// The elements of a list, or the value itself as the only one.
    var listOrSelf: [FieldReader] { isList ? list : [self] }

    /// Tells of keys that the kind doesn't have, naming the nearest one it has. False when this is no mapping.
    @discardableResult
    func check(_ known: FieldNames) -> Bool {
        guard case .mapping(let entries) = node.content else {
            mismatch("a mapping")
            return false
        }
        for entry in entries where !known.names.contains(entry.key) {
            if subject.acceptsSnakeCase, known.names.contains(Self.camelCase(entry.key)) { continue }
            subject.log.add(
                Diagnostic(
                    subject.unknownField, "unknown field \(child(entry.key, entry.value).path) of \(subject.kind)",
                    remedy: NearestName.remedy(for: entry.key, among: known.names.sorted()), at: entry.location))
        }
        return true
    }

    /// Refuses by name those of the fields that are given.
    func refuse(fields: FieldNames) {
        guard case .mapping(let entries) = node.content else { return }
        for entry in entries where !entry.value.isNull {
            let name = subject.acceptsSnakeCase ? Self.camelCase(entry.key) : entry.key
            guard fields.names.contains(entry.key) || fields.names.contains(name) else { continue }
            subject.log.add(
                Diagnostic(
                    .unsupported, "\(child(entry.key, entry.value).path) of \(subject.kind) is not supported yet",
                    at: entry.location))
        }
    }

    // MARK: Scalars

    /// Text that YAML takes for text.
    var string: String? {
        guard case .scalar(let scalar) = node.content, node.scalarType == .string else {
            if case .scalar = node.content, let text = node.text {
                mismatch("a string", remedy: "write it in quotes: \"\(text)\"")
            } else {
                mismatch("a string")
            }
            return nil
        }
        return scalar.text
    }

    var locatedString: Located<String>? { string.map { Located($0, at: location) } }

    /// A scalar as written, whatever YAML takes it for.
    var text: String? {
        guard let text = node.text else {
            mismatch("text")
            return nil
        }
        return text
    }

    var boolean: Bool? {
        guard case .boolean(let value) = node.scalarType else {
            mismatch("true or false")
            return nil
        }
        return value
    }

    /// true, false, or their words in quotes, as chart values and annotations have them.
    var laxBoolean: Bool? {
        switch text?.lowercased() {
        case "true", "1", "yes", "on": return true
        case "false", "0", "no", "off": return false
        case nil: return nil
        default:
            mismatch("true or false")
            return nil
        }
    }

    func integer(_ range: ClosedRange<Int> = 0...Int(Int32.max)) -> Int? {
        let value: Int? =
            switch node.scalarType {
            case .integer(let value): value
            case .number(let value) where value.rounded() == value && abs(value) < 1e15: Int(value)
            default: nil
            }
        guard let value, range.contains(value) else {
            mismatch("a whole number from \(range.lowerBound) to \(range.upperBound)")
            return nil
        }
        return value
    }

    var number: Double? {
        switch node.scalarType {
        case .integer(let value): return Double(value)
        case .number(let value): return value
        default:
            mismatch("a number")
            return nil
        }
    }

    var port: UInt16? { integer(1...65535).map { UInt16($0) } }

    /// A user or group id.
    var userID: UInt32? { integer(0...Int(UInt32.max) - 1).map { UInt32($0) } }

    /// `3s`, `500ms`, `1h`, `1.5s`, as milliseconds.
    var milliseconds: Int? {
        guard node.scalarType == .string, let text = node.text, let value = DurationText.milliseconds(text) else {
            mismatch("a duration such as 3s or 500ms")
            return nil
        }
        return Int(value.rounded())
    }

    /// One of an enumeration's names.
    func choice<Choice: RawRepresentable & CaseIterable>(_ type: Choice.Type = Choice.self) -> Choice?
    where Choice.RawValue == String {
        let names = Choice.allCases.map(\.rawValue)
        guard let name = choice(of: names) else { return nil }
        return Choice(rawValue: name)
    }

    /// One of the names.
    func choice(of names: [String]) -> String? {
        guard let text else { return nil }
        guard names.contains(text) else {
            let choices = names.filter { !$0.isEmpty }
            error(
                "expected \(choices.count > 1 ? "one of " : "")\(choices.joined(separator: ", ")), found \(node.summary)",
                remedy: NearestName.remedy(for: text, among: names))
            return nil
        }
        return text
    }

    // MARK: Collections

    var strings: [String] { list.compactMap(\.string) }
    var locatedStrings: [Located<String>] { list.compactMap(\.locatedString) }

    /// A mapping of strings: labels, selectors.
    var stringMap: [String: String] {
        var result: [String: String] = [:]
        for entry in entries {
            if entry.field.node.isNull {
                result[entry.key] = ""
            } else if let value = entry.field.string {
                result[entry.key] = value
            }
        }
        return result
    }

    // MARK: Spelling

    private static func snakeCase(_ key: String) -> String? {
        guard key.contains(where: \.isUppercase) else { return nil }
        return key.reduce(into: "") { $0 += $1.isUppercase ? "_" + $1.lowercased() : String($1) }
    }

    private static func camelCase(_ key: String) -> String {
        let parts = key.split(separator: "_", omittingEmptySubsequences: false)
        guard parts.count > 1, let first = parts.first else { return key }
        return first + parts.dropFirst().map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
    }
}
