/// A `log_format` of nginx, read backwards: what the variables were in a line that it wrote.
package struct NginxLogFormat: Sendable, Equatable {
    private enum Piece: Equatable {
        case text(String)
        case variable(String)
    }

    /// What a line must tell of a connection: the name that it asked for, and what became of it.
    private static let needed: Set<String> = ["ssl_preread_server_name", "status"]

    private var pieces: [Piece] = []

    /// nil: its lines do not tell what became of a connection, or can't be taken apart.
    package init?(_ format: String) {
        var text = ""
        var rest = format[...]
        func isName(_ character: Character) -> Bool {
            character.isASCII && (character.isLetter || character.isNumber || character == "_")
        }
        while let character = rest.popFirst() {
            guard character == "$" else {
                text.append(character)
                continue
            }
            let isBraced = rest.first == "{"
            if isBraced { rest.removeFirst() }
            let name = rest.prefix(while: isName)
            rest = rest.dropFirst(name.count + (isBraced ? 1 : 0))
            if !text.isEmpty { pieces.append(.text(text)) }
            // Where one value ends and the next begins nobody can say.
            if text.isEmpty, case .variable? = pieces.last { return nil }
            text = ""
            pieces.append(.variable(String(name)))
        }
        if !text.isEmpty { pieces.append(.text(text)) }
        let names = pieces.compactMap { piece in if case .variable(let name) = piece { name } else { nil } }
        guard Self.needed.isSubset(of: names) else { return nil }
    }

    /// The variables' values; nil for a line that it did not write.
    package func values(in line: String) -> [String: String]? {
        var result: [String: String] = [:]
        var rest = line[...]
        var pending: String?
        for piece in pieces {
            switch piece {
            case .variable(let name): pending = name
            case .text(let text):
                guard let name = pending else {
                    guard rest.hasPrefix(text) else { return nil }
                    rest = rest.dropFirst(text.count)
                    continue
                }
                guard let end = Self.range(of: text, in: rest) else { return nil }
                result[name] = String(rest[..<end.lowerBound])
                rest = rest[end.upperBound...]
                pending = nil
            }
        }
        if let pending { result[pending] = String(rest) } else if !rest.isEmpty { return nil }
        return result
    }

    private static func range(of text: String, in rest: Substring) -> Range<Substring.Index>? {
        var start = rest.startIndex
        while start < rest.endIndex {
            if rest[start...].hasPrefix(text) { return start..<rest.index(start, offsetBy: text.count) }
            start = rest.index(after: start)
        }
        return nil
    }
}
