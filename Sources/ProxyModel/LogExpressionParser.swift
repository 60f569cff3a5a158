/// Reads expressions by their grammar: CEL's "Syntax", from the loosest operator to the tightest.
struct LogExpressionParser {
    private enum Token: Equatable {
        case name(String)
        case number(Double)
        case text(String)
        case symbol(String)
    }

    private var tokens: [Token] = []
    private var place = 0
    private let scanFailure: LogExpression.Invalid?
    /// Parentheses inside each other; a hostile text must not exhaust the stack.
    private var depth = 0
    private static let depthLimit = 100

    init(_ text: String) {
        do throws(LogExpression.Invalid) {
            tokens = try Self.scan(text)
            scanFailure = nil
        } catch {
            scanFailure = error
        }
    }

    mutating func whole() throws(LogExpression.Invalid) -> LogExpression {
        if let scanFailure { throw scanFailure }
        let expression = try conditional()
        guard place == tokens.count else { throw unexpected() }
        return expression
    }

    // MARK: Grammar

    private mutating func conditional() throws(LogExpression.Invalid) -> LogExpression {
        depth += 1
        defer { depth -= 1 }
        if depth > Self.depthLimit { throw LogExpression.Invalid(description: "it is nested too deeply") }
        let condition = try binary(0)
        guard take("?") else { return condition }
        let left = try binary(0)
        try expect(":")
        return .conditional(condition, left, try conditional())
    }

    private static let levels: [[String]] = [
        ["||"], ["&&"], ["==", "!=", "<", "<=", ">", ">=", "in"], ["+", "-"], ["*", "/", "%"],
    ]

    private mutating func binary(_ level: Int) throws(LogExpression.Invalid) -> LogExpression {
        guard level < Self.levels.count else { return try unary() }
        var left = try binary(level + 1)
        while let symbol = operatorHere(of: level) {
            place += 1
            left = .binary(symbol, left, try binary(level + 1))
        }
        return left
    }

    private func operatorHere(of level: Int) -> LogExpression.Operator? {
        let text: String
        switch current {
        case .symbol(let symbol): text = symbol
        case .name("in"): text = "in"
        default: return nil
        }
        return Self.levels[level].contains(text) ? LogExpression.Operator(rawValue: text) : nil
    }

    private mutating func unary() throws(LogExpression.Invalid) -> LogExpression {
        depth += 1
        defer { depth -= 1 }
        if depth > Self.depthLimit { throw LogExpression.Invalid(description: "it is nested too deeply") }
        if take("!") { return .not(try unary()) }
        if take("-") { return .negative(try unary()) }
        return try member()
    }

    private mutating func member() throws(LogExpression.Invalid) -> LogExpression {
        var value = try primary()
        while true {
            if take("[") {
                let key = try conditional()
                try expect("]")
                guard case .attribute(let map) = value, LogExpression.maps.contains(map) else {
                    throw LogExpression.Invalid(description: "only request.headers and response.headers have elements")
                }
                value = .element(of: map, key)
            } else if take(".") {
                guard case .name(let name) = current else { throw unexpected() }
                place += 1
                try expect("(")
                value = try call(name, [value])
            } else {
                return value
            }
        }
    }

    private mutating func primary() throws(LogExpression.Invalid) -> LogExpression {
        guard let token = current else { throw LogExpression.Invalid(description: "it ends too early") }
        switch token {
        case .number(let number):
            place += 1
            return .literal(.number(number))
        case .text(let text):
            place += 1
            return .literal(.text(text))
        case .symbol("("):
            place += 1
            let inner = try conditional()
            try expect(")")
            return inner
        case .symbol("["):
            place += 1
            var elements: [LogExpression] = []
            while !take("]") {
                elements.append(try conditional())
                if !take(",") {
                    try expect("]")
                    break
                }
            }
            return .list(elements)
        case .symbol: throw unexpected()
        case .name(let name):
            place += 1
            switch name {
            case "true": return .literal(.bool(true))
            case "false": return .literal(.bool(false))
            case "null": return .literal(.null)
            case "has":
                try expect("(")
                guard case .attribute(let name) = try conditional() else {
                    throw LogExpression.Invalid(description: "has() argument must be a field selection")
                }
                try expect(")")
                return .has(name)
            default:
                if take("(") { return try call(name, []) }
                return try attribute(name)
            }
        }
    }

    /// `response.code`; what follows the last name of an attribute is a function of it.
    private mutating func attribute(_ first: String) throws(LogExpression.Invalid) -> LogExpression {
        guard take("."), case .name(let second) = current else {
            throw LogExpression.Invalid(description: "there is no attribute \"\(first)\"")
        }
        place += 1
        let name = "\(first).\(second)"
        guard LogExpression.attributes.contains(name) || LogExpression.maps.contains(name) else {
            throw LogExpression.Invalid(description: "the attribute \(name) is not supported yet")
        }
        return .attribute(name)
    }

    private mutating func call(
        _ name: String, _ first: [LogExpression]
    ) throws(LogExpression.Invalid) -> LogExpression {
        var arguments = first
        if !take(")") {
            repeat { arguments.append(try conditional()) } while take(",")
            try expect(")")
        }
        guard LogExpression.functions[name] == arguments.count else {
            throw LogExpression.Invalid(description: "the function \(name) with these arguments is not supported yet")
        }
        return .call(name, arguments)
    }

    // MARK: Tokens

    private var current: Token? { place < tokens.count ? tokens[place] : nil }

    private mutating func take(_ symbol: String) -> Bool {
        guard current == .symbol(symbol) else { return false }
        place += 1
        return true
    }

    private mutating func expect(_ symbol: String) throws(LogExpression.Invalid) {
        if !take(symbol) { throw unexpected(wanted: symbol) }
    }

    private func unexpected(wanted: String? = nil) -> LogExpression.Invalid {
        let found: String =
            switch current {
            case .name(let name): name
            case .number(let number): "\(number)"
            case .text(let text): "'\(text)'"
            case .symbol(let symbol): symbol
            case nil: "its end"
            }
        return LogExpression.Invalid(
            description: wanted.map { "there is \(found) where \($0) should be" } ?? "\(found) is not expected there")
    }

    private static func scan(_ text: String) throws(LogExpression.Invalid) -> [Token] {
        var tokens: [Token] = []
        var rest = text[...]
        while let character = rest.first {
            if character.isWhitespace {
                rest.removeFirst()
            } else if character.isLetter || character == "_" {
                let word = rest.prefix { $0.isLetter || $0.isNumber || $0 == "_" }
                rest = rest[word.endIndex...]
                tokens.append(.name(String(word)))
            } else if character.isNumber {
                let digits = rest.prefix { $0.isNumber || $0 == "." }
                rest = rest[digits.endIndex...]
                guard let number = Double(digits) else {
                    throw LogExpression.Invalid(description: "\"\(digits)\" is not a number")
                }
                tokens.append(.number(number))
                // `200u` is an unsigned number.
                if rest.first == "u" { rest.removeFirst() }
            } else if character == "'" || character == "\"" {
                tokens.append(.text(try string(&rest, quote: character)))
            } else {
                let symbols = ["||", "&&", "==", "!=", "<=", ">="] + "<>!?:.,()[]+-*/%".map(String.init)
                guard let symbol = symbols.first(where: { rest.hasPrefix($0) }) else {
                    throw LogExpression.Invalid(description: "\"\(character)\" means nothing there")
                }
                rest = rest.dropFirst(symbol.count)
                tokens.append(.symbol(symbol))
            }
        }
        return tokens
    }

    private static func string(_ rest: inout Substring, quote: Character) throws(LogExpression.Invalid) -> String {
        rest.removeFirst()
        var text = ""
        while let character = rest.popFirst() {
            if character == quote { return text }
            if character != "\\" {
                text.append(character)
            } else if let escaped = rest.popFirst() {
                switch escaped {
                case "n": text.append("\n")
                case "t": text.append("\t")
                case "r": text.append("\r")
                case "\\", "'", "\"", "`", "?": text.append(escaped)
                default: throw LogExpression.Invalid(description: "the escape \\\(escaped) is not supported yet")
                }
            }
        }
        throw LogExpression.Invalid(description: "a string has no end")
    }
}
