/// What kubectl's `-l` takes: `app=sleep,version!=v1,tier in (a, b),!old`.
struct LabelExpression: Sendable {
    private enum Term: Sendable {
        case among(String, Set<String>)
        case notAmong(String, Set<String>)
        case exists(String)
        case absent(String)
    }

    private let terms: [Term]

    init(_ text: String) throws {
        terms = try Self.parts(of: text).map { part in
            let part = part.trimmed
            if let range = part.range(" notin ") ?? part.range(" in ") {
                let values = part[range.upperBound...].trimmed
                guard values.hasPrefix("("), values.hasSuffix(")") else { throw Self.refusal(text) }
                let set = Set(values.dropFirst().dropLast().split(separator: ",").map { $0.trimmed })
                let key = part[..<range.lowerBound].trimmed
                return part[range].contains("notin") ? .notAmong(key, set) : .among(key, set)
            }
            for (sign, isEqual) in [("!=", false), ("==", true), ("=", true)] {
                guard let range = part.range(sign) else { continue }
                let key = part[..<range.lowerBound].trimmed
                let value = part[range.upperBound...].trimmed
                guard !key.isEmpty else { throw Self.refusal(text) }
                return isEqual ? .among(key, [value]) : .notAmong(key, [value])
            }
            guard !part.isEmpty, part != "!" else { throw Self.refusal(text) }
            return part.hasPrefix("!") ? .absent(part.dropFirst().trimmed) : .exists(part)
        }
    }

    @Sendable func matches(_ labels: [String: String]) -> Bool {
        terms.allSatisfy { term in
            switch term {
            case .among(let key, let values): labels[key].map(values.contains) ?? false
            case .notAmong(let key, let values): !(labels[key].map(values.contains) ?? false)
            case .exists(let key): labels[key] != nil
            case .absent(let key): labels[key] == nil
            }
        }
    }

    /// Commas inside parentheses separate values, others terms.
    private static func parts(of text: String) -> [String] {
        var (parts, depth) = ([""], 0)
        for character in text {
            if character == "(" { depth += 1 }
            if character == ")" { depth -= 1 }
            if character == ",", depth == 0 { parts.append("") } else { parts[parts.count - 1].append(character) }
        }
        return parts
    }

    private static func refusal(_ text: String) -> Refusal {
        Refusal("error: \"\(text)\" is no label selector; write -l app=sleep, or -l 'app in (a, b),!old'")
    }
}

extension StringProtocol {
    fileprivate var trimmed: String {
        var text = Substring(self)
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }
}

extension String {
    fileprivate func range(_ other: String) -> Range<String.Index>? { firstRange(of: other) }
}
