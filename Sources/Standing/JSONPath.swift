import Manifests

/// A template as `kubectl get -o jsonpath=` takes it: text, `{.a.b[0]}`, `{..name}`, `{range .items[*]}…{end}`, `{"\n"}`.
struct JSONPath {
    private indirect enum Part {
        case text(String)
        case path([Selector])
        case range([Selector], [Part])
    }

    private enum Selector {
        case key(String)
        case index(Int)
        case every
        case descendants(String)
        /// `[?(@.name=="x")]`
        case filter([Selector], String, isEqual: Bool)
    }

    private let parts: [Part]

    init(_ template: String) throws {
        var rest = Substring(template.contains("{") ? template : "{\(template)}")
        parts = try Self.parts(&rest, isInRange: false)
    }

    /// The template filled in.
    func text(of root: ManifestNode) -> String { Self.text(parts, root) }

    private static func text(_ parts: [Part], _ node: ManifestNode) -> String {
        parts.map { part in
            switch part {
            case .text(let text): text
            case .path(let path): select(path, [node]).map(\.plainText).joined(separator: " ")
            case .range(let path, let body): select(path, [node]).map { text(body, $0) }.joined()
            }
        }.joined()
    }

    // MARK: Selecting

    private static func select(_ path: [Selector], _ nodes: [ManifestNode]) -> [ManifestNode] {
        path.reduce(nodes) { nodes, selector in nodes.flatMap { select(selector, $0) } }
    }

    private static func select(_ selector: Selector, _ node: ManifestNode) -> [ManifestNode] {
        switch selector {
        case .key(let key): return node[key].map { [$0] } ?? []
        case .index(let index):
            let elements = node.elements
            let position = index < 0 ? elements.count + index : index
            return elements.indices.contains(position) ? [elements[position]] : []
        case .every:
            if case .mapping(let entries) = node.content { return entries.map(\.value) }
            return node.elements
        case .descendants(let key):
            let own = node[key].map { [$0] } ?? []
            return own + select(.every, node).flatMap { select(.descendants(key), $0) }
        case .filter(let path, let value, let isEqual):
            return node.elements.filter { element in
                select(path, [element]).contains { $0.plainText == value } == isEqual
            }
        }
    }

    // MARK: Reading

    private static func parts(_ rest: inout Substring, isInRange: Bool) throws -> [Part] {
        var parts: [Part] = []
        while let first = rest.first {
            guard first == "{" else {
                let text = rest.prefix { $0 != "{" }
                parts.append(.text(String(text)))
                rest = rest[text.endIndex...]
                continue
            }
            guard let end = endOfExpression(rest) else { throw refusal("unclosed action") }
            let expression = rest[rest.index(after: rest.startIndex)..<end].drop { $0 == " " }
            rest = rest[rest.index(after: end)...]
            let trimmed = String(expression.reversed().drop { $0 == " " }.reversed())
            if trimmed == "end" {
                guard isInRange else { throw refusal("end without range") }
                return parts
            }
            if trimmed.hasPrefix("\"") || trimmed.hasPrefix("'") {
                parts.append(.text(unescaped(trimmed.dropFirst().dropLast())))
            } else if trimmed.hasPrefix("range ") {
                var path = Substring(trimmed.dropFirst(6)).drop { $0 == " " }
                let selectors = try selectors(&path)
                parts.append(.range(selectors, try Self.parts(&rest, isInRange: true)))
            } else {
                var path = Substring(trimmed)
                parts.append(.path(try selectors(&path)))
            }
        }
        guard !isInRange else { throw refusal("range without end") }
        return parts
    }

    private static func endOfExpression(_ text: Substring) -> Substring.Index? {
        var quote: Character?
        for index in text.indices {
            let character = text[index]
            if let open = quote {
                if character == open { quote = nil }
            } else if character == "\"" || character == "'" {
                quote = character
            } else if character == "}" {
                return index
            }
        }
        return nil
    }

    private static func selectors(_ rest: inout Substring) throws -> [Selector] {
        var result: [Selector] = []
        if rest.first == "$" || rest.first == "@" { rest.removeFirst() }
        while let first = rest.first {
            if rest.hasPrefix("..") {
                rest.removeFirst(2)
                result.append(.descendants(key(&rest)))
            } else if first == "." {
                rest.removeFirst()
                if rest.isEmpty { break }
                if rest.first == "*" {
                    rest.removeFirst()
                    result.append(.every)
                } else if rest.first != "[" {
                    result.append(.key(key(&rest)))
                }
            } else if first == "[" {
                guard let end = rest.firstIndex(of: "]") else { throw refusal("unterminated array") }
                let inner = String(rest[rest.index(after: rest.startIndex)..<end])
                rest = rest[rest.index(after: end)...]
                result.append(try subscripted(inner))
            } else {
                result.append(.key(key(&rest)))
            }
        }
        return result
    }

    /// Up to the next `.` or `[`; `\.` is a dot of the key's own.
    private static func key(_ rest: inout Substring) -> String {
        var key = ""
        while let first = rest.first, first != ".", first != "[" {
            rest.removeFirst()
            if first == "\\", let next = rest.first {
                rest.removeFirst()
                key.append(next)
            } else {
                key.append(first)
            }
        }
        return key
    }

    private static func subscripted(_ text: String) throws -> Selector {
        if text == "*" { return .every }
        if let number = Int(text) { return .index(number) }
        if let quote = text.first, quote == "'" || quote == "\"", text.last == quote {
            return .key(String(text.dropFirst().dropLast()))
        }
        if text.hasPrefix("?("), text.hasSuffix(")") {
            let condition = text.dropFirst(2).dropLast()
            for (sign, isEqual) in [("==", true), ("!=", false)] {
                guard let range = condition.firstRange(of: sign) else { continue }
                var path = condition[..<range.lowerBound].filter { $0 != " " }[...]
                let value = condition[range.upperBound...].filter { !" \"'".contains($0) }
                return .filter(try selectors(&path), String(value), isEqual: isEqual)
            }
        }
        throw refusal("[\(text)] is not understood")
    }

    private static func unescaped(_ text: some StringProtocol) -> String {
        var (result, isEscaped) = ("", false)
        for character in text {
            if isEscaped {
                result.append(["n": "\n", "t": "\t", "r": "\r"][character] ?? character)
                isEscaped = false
            } else if character == "\\" {
                isEscaped = true
            } else {
                result.append(character)
            }
        }
        return result
    }

    private static func refusal(_ why: String) -> Refusal { Refusal("error: error parsing jsonpath: \(why)") }
}
