/// A value of a YAML document that knows where it was written: the file as the user sees it, before any meaning.
package struct ManifestNode: Sendable {
    /// One key of a mapping with its value.
    package struct Entry: Sendable {
        package var key: String
        package var location: SourceLocation
        package var value: ManifestNode
    }

    /// How a scalar was written; only a plain one can be a number, a boolean or null.
    package enum ScalarStyle: Sendable { case plain, quoted, literal, folded }

    /// Text of the user's, and where its own first line and column are in the file (for YAML inside YAML).
    package struct Scalar: Sendable {
        package var text: String
        package var style: ScalarStyle
        /// For a literal block: the file's line of the text's first line, and how far the text is indented.
        package var origin: TextOrigin?
    }

    /// Maps positions in a text to positions in the file that holds it.
    package struct TextOrigin: Sendable, Equatable {
        package var line: Int
        package var indentation: Int
    }

    package enum Content: Sendable {
        case scalar(Scalar)
        case mapping([Entry])
        case sequence([ManifestNode])
    }

    package var content: Content
    package var location: SourceLocation

    package init(_ content: Content, at location: SourceLocation) {
        self.content = content
        self.location = location
    }
}

extension ManifestNode {
    /// What YAML 1.1 takes a plain scalar for, the way kubectl reads it.
    package enum ScalarType: Sendable, Equatable { case null, boolean(Bool), integer(Int), number(Double), string }

    /// The value under a key; nil where there is none or it is null.
    package subscript(key: String) -> ManifestNode? {
        guard case .mapping(let entries) = content, let entry = entries.first(where: { $0.key == key }),
            !entry.value.isNull
        else { return nil }
        return entry.value
    }

    package var isNull: Bool { scalarType == .null }

    /// A scalar's text, whatever its type; nil for null, mappings and sequences.
    package var text: String? {
        guard case .scalar(let scalar) = content, !isNull else { return nil }
        return scalar.text
    }

    /// nil where the node is not a scalar.
    package var scalarType: ScalarType? {
        guard case .scalar(let scalar) = content else { return nil }
        return scalar.style == .plain ? Self.resolve(scalar.text) : .string
    }

    /// What was found, for messages: `string "http"`, `a list`, `number 3`.
    package var summary: String {
        switch content {
        case .mapping: return "a mapping"
        case .sequence: return "a list"
        case .scalar(let scalar):
            let text = scalar.text.count > 60 ? scalar.text.prefix(57) + "…" : scalar.text[...]
            switch scalarType {
            case .null, nil: return "nothing"
            case .boolean: return "boolean \(text)"
            case .integer, .number: return "number \(text)"
            case .string: return "string \"\(text.split(separator: "\n").first ?? "")\""
            }
        }
    }

    private static func resolve(_ text: String) -> ScalarType {
        guard let first = text.utf8.first else { return .null }
        switch first {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "+"), UInt8(ascii: "."):
            return resolveNumber(text)
        default: break
        }
        switch text {
        case "~", "null", "Null", "NULL": return .null
        case "true", "True", "TRUE", "y", "Y", "yes", "Yes", "YES", "on", "On", "ON": return .boolean(true)
        case "false", "False", "FALSE", "n", "N", "no", "No", "NO", "off", "Off", "OFF": return .boolean(false)
        default: return .string
        }
    }

    private static func resolveNumber(_ text: String) -> ScalarType {
        let isNegative = text.hasPrefix("-")
        let digits = text.filter { $0 != "_" }.drop { $0 == "-" || $0 == "+" }
        for (prefix, radix) in [("0x", 16), ("0b", 2), ("0o", 8), ("0", 8), ("", 10)]
        where digits.hasPrefix(prefix) && digits.count > prefix.count {
            let rest = digits.dropFirst(prefix.count)
            guard rest.first != "-", rest.first != "+" else { return .string }
            if let value = Int(rest, radix: radix) { return .integer(isNegative ? -value : value) }
            if radix != 8 { break }
        }
        let isDecimal = digits.utf8.allSatisfy {
            (48...57).contains($0) || [UInt8(ascii: "."), 0x65, 0x45, 0x2b, 0x2d].contains($0)
        }
        if isDecimal, digits.contains(where: \.isNumber), let value = Double(digits) {
            return .number(isNegative ? -value : value)
        }
        return .string
    }
}
