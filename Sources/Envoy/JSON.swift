import ProxyModel

/// A JSON value, for configuration whose shape is Envoy's and not ours.
enum JSON: Sendable, Equatable {
    case bool(Bool)
    case number(Int)
    case string(String)
    case array([JSON])
    case object([String: JSON])

    /// Pretty printed, keys sorted, without a newline at the end.
    var text: String {
        var result = ""
        write(to: &result, indent: "")
        return result
    }

    /// Envoy's JSON form of `google.protobuf.Duration`.
    static func duration(ms: Int) -> JSON {
        let (seconds, rest) = ms.quotientAndRemainder(dividingBy: 1000)
        if rest == 0 { return .string("\(seconds)s") }
        let digits = String(rest)
        return .string("\(seconds).\(String(repeating: "0", count: 3 - digits.count))\(digits)s")
    }

    /// A `google.protobuf.Any`: `fields` with their message type in front.
    static func typed(_ type: String, _ fields: JSON = [:]) -> JSON {
        guard case .object(var members) = fields else { return fields }
        members["@type"] = .string("type.googleapis.com/\(type)")
        return .object(members)
    }

    private func write(to result: inout String, indent: String) {
        switch self {
        case .bool(let value): result += value ? "true" : "false"
        case .number(let value): result += String(value)
        case .string(let value): result += JSONText.quoted(value)
        case .array(let values):
            Self.write(values, "[", "]", to: &result, indent: indent) { value, result, indent in
                value.write(to: &result, indent: indent)
            }
        case .object(let members):
            let sorted = members.sorted { $0.key < $1.key }
            Self.write(sorted, "{", "}", to: &result, indent: indent) { member, result, indent in
                result += JSONText.quoted(member.key) + ": "
                member.value.write(to: &result, indent: indent)
            }
        }
    }

    private static func write<Element>(
        _ elements: [Element], _ open: String, _ close: String, to result: inout String, indent: String,
        one: (Element, inout String, String) -> Void
    ) {
        if elements.isEmpty {
            result += open + close
            return
        }
        let inner = indent + "  "
        result += open + "\n"
        for (index, element) in elements.enumerated() {
            result += inner
            one(element, &result, inner)
            result += index == elements.count - 1 ? "\n" : ",\n"
        }
        result += indent + close
    }
}

extension JSON: ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral, ExpressibleByStringLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    init(booleanLiteral value: Bool) { self = .bool(value) }
    init(integerLiteral value: Int) { self = .number(value) }
    init(stringLiteral value: String) { self = .string(value) }
    init(arrayLiteral elements: JSON...) { self = .array(elements) }

    /// Members whose value is nil are left out.
    init(dictionaryLiteral elements: (String, JSON?)...) {
        var members: [String: JSON] = [:]
        for case (let key, let value?) in elements { members[key] = value }
        self = .object(members)
    }
}
