/// A YAML document as a tree whose mappings keep their order, so that one value always gives one text.
indirect enum YAMLValue: Hashable, Sendable {
    case text(String)
    case number(Int)
    case boolean(Bool)
    case list([YAMLValue])
    case map([Entry])

    struct Entry: Hashable, Sendable {
        var key: String
        var value: YAMLValue
    }

    /// The value of a mapping's key; nil says that there is none, and removes it.
    subscript(key: String) -> YAMLValue? {
        get {
            guard case .map(let entries) = self else { return nil }
            return entries.first { $0.key == key }?.value
        }
        set {
            guard case .map(var entries) = self else { return }
            let position = entries.firstIndex { $0.key == key }
            switch (position, newValue) {
            case (let position?, let value?): entries[position].value = value
            case (let position?, nil): entries.remove(at: position)
            case (nil, let value?): entries.append(Entry(key: key, value: value))
            case (nil, nil): return
            }
            self = .map(entries)
        }
    }

    var string: String? {
        guard case .text(let text) = self else { return nil }
        return text
    }
}

extension YAMLValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    init(stringLiteral value: String) { self = .text(value) }
    init(integerLiteral value: Int) { self = .number(value) }
    init(booleanLiteral value: Bool) { self = .boolean(value) }
    init(arrayLiteral elements: YAMLValue...) { self = .list(elements) }
    init(dictionaryLiteral elements: (String, YAMLValue)...) {
        self = .map(elements.map { Entry(key: $0.0, value: $0.1) })
    }

    static func texts(_ texts: [String]) -> YAMLValue { .list(texts.map { .text($0) }) }
}

extension YAMLValue {
    private static let width = 100

    /// The document: collections that fit on a line in flow style, others as blocks.
    var document: String { block(indent: 0) }

    private func block(indent: Int) -> String {
        let margin = String(repeating: " ", count: indent)
        switch self {
        case .map(let entries) where !entries.isEmpty:
            return entries.map { entry in
                let key = Self.scalar(entry.key)
                if entry.value.isShort(after: indent + key.count + 2) {
                    return "\(margin)\(key): \(entry.value.inline)\n"
                }
                return "\(margin)\(key):\n" + entry.value.block(indent: indent + 2)
            }.joined()
        case .list(let elements) where !elements.isEmpty:
            return elements.map { element in
                if element.isShort(after: indent + 2) { return "\(margin)- \(element.inline)\n" }
                return "\(margin)- " + element.block(indent: indent + 2).dropFirst(indent + 2)
            }.joined()
        default: return margin + inline + "\n"
        }
    }

    private func isShort(after column: Int) -> Bool {
        switch self {
        case .map(let entries):
            let fits = column + inline.count <= Self.width
            return entries.isEmpty || fits && (column >= 8 || !entries.contains { $0.value.holdsMappings })
        case .list(let elements): return elements.isEmpty || (column > 4 && column + inline.count <= Self.width)
        default: return true
        }
    }

    private var holdsMappings: Bool {
        switch self {
        case .map(let entries): !entries.isEmpty
        case .list(let elements): elements.contains { $0.holdsMappings }
        default: false
        }
    }

    /// In flow style.
    var inline: String {
        switch self {
        case .text(let text): Self.scalar(text)
        case .number(let number): "\(number)"
        case .boolean(let value): "\(value)"
        case .list(let elements): "[" + elements.map(\.inline).joined(separator: ", ") + "]"
        case .map(let entries):
            "{" + entries.map { "\(Self.scalar($0.key)): \($0.value.inline)" }.joined(separator: ", ") + "}"
        }
    }

    private static let words: Set<String> = ["true", "false", "yes", "no", "on", "off", "y", "n", "null"]

    /// A string that YAML can't take for anything else, in quotes where it needs them.
    private static func scalar(_ text: String) -> String {
        let isPlain =
            text.utf8.allSatisfy { byte in
                (97...122).contains(byte) || (65...90).contains(byte) || (48...57).contains(byte)
                    || [UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "/")].contains(byte)
            } && text.utf8.first.map { (97...122).contains($0) || (65...90).contains($0) || $0 == 47 } ?? false
        if isPlain, !words.contains(text.lowercased()) { return text }
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "\n": quoted += "\\n"
            case "\r": quoted += "\\r"
            case "\t": quoted += "\\t"
            case _ where scalar.value < 32 || scalar.value == 127:
                let digits = String(scalar.value, radix: 16, uppercase: true)
                quoted += "\\x" + (digits.count < 2 ? "0" + digits : digits)
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}
