package import ProxyModel
import RegularExpressions

/// A regular expression of a route that can't be compiled.
package struct RouteRegexError: Error, CustomStringConvertible {
    package let pattern: String
    package let reason: String
    package var description: String { "regular expression '\(pattern)': \(reason)" }
}

/// What a request offers for matching.
package protocol RoutableRequest {
    var method: String { get }
    var scheme: String { get }
    var authority: String { get }
    /// With the query.
    var path: String { get }
    /// All values of a header, joined by commas; nil when it is absent.
    func header(_ name: String) -> String?
}

/// A virtual host with its expressions compiled.
package struct CompiledVirtualHost: Sendable {
    package let model: VirtualHost
    private let routes: [CompiledRoute]

    init(_ model: VirtualHost) throws {
        self.model = model
        routes = try model.routes.map(CompiledRoute.init)
    }

    /// The first route that matches.
    package func route(for request: some RoutableRequest) -> CompiledRoute? {
        for route in routes where route.matches(request) { return route }
        return nil
    }
}

/// A route with its expressions compiled.
package struct CompiledRoute: Sendable {
    struct Field: Sendable {
        let name: String
        let match: CompiledStringMatch
        let inverted: Bool
    }

    package let model: Route
    let pathRewrite: CompiledPathRewrite?
    let cors: CompiledCorsPolicy?
    private let path: CompiledStringMatch?
    private let headers: [Field]
    private let queryParameters: [Field]

    init(_ model: Route) throws {
        self.model = model
        cors = try model.cors.map(CompiledCorsPolicy.init)
        if case .forward(let action) = model.action {
            pathRewrite = try action.pathRewrite.map { try CompiledPathRewrite($0, match: model.match.path) }
        } else {
            pathRewrite = nil
        }
        path = try model.match.path.map { try CompiledStringMatch($0, ignoresCase: model.match.ignoresCase) }
        headers = try model.match.headers.map {
            Field(
                name: $0.name.lowercased(), match: try CompiledStringMatch($0.match, ignoresCase: false),
                inverted: $0.inverted)
        }
        queryParameters = try model.match.queryParameters.map {
            Field(
                name: $0.name, match: try CompiledStringMatch($0.match, ignoresCase: false), inverted: $0.inverted)
        }
    }

    func matches(_ request: some RoutableRequest) -> Bool {
        if let path {
            // Envoy compares the path without its query and fragment.
            guard path.matches(request.path.prefix { $0 != "?" && $0 != "#" }) else { return false }
        }
        for field in headers {
            let value: String? =
                switch field.name {
                case ":method": request.method
                case ":scheme": request.scheme
                case ":authority", "host": request.authority
                case ":path": request.path
                default: request.header(field.name)
                }
            guard field.matches(value) else { return false }
        }
        if queryParameters.isEmpty { return true }
        let parameters = Self.queryParameters(of: request.path)
        return queryParameters.allSatisfy { field in
            field.matches(parameters.first { $0.name == field.name }?.value)
        }
    }

    static func queryParameters(of path: String) -> [(name: String, value: String)] {
        guard let mark = path.firstIndex(of: "?") else { return [] }
        let query = path[path.index(after: mark)...].prefix { $0 != "#" }
        return query.split(separator: "&").map { pair in
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return (percentDecoded(parts[0]), parts.count > 1 ? percentDecoded(parts[1]) : "")
        }
    }

    private static func percentDecoded(_ text: Substring) -> String {
        guard text.utf8.contains(UInt8(ascii: "%")) else { return String(text) }
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension CompiledRoute.Field {
    /// An inverted field treats an absent value as empty, as Istio asks Envoy to (`treat_missing_header_as_empty`).
    fileprivate func matches(_ value: String?) -> Bool {
        guard let value else {
            guard inverted else { return false }
            return match.isPresence || !match.matches("")
        }
        return match.matches(value[...]) != inverted
    }
}

/// A string match with its expression compiled. Compares bytes, as Envoy does: letters fold only within ASCII.
struct CompiledStringMatch: Sendable {
    private enum Kind: Sendable {
        case exact([UInt8])
        case prefix([UInt8])
        case suffix([UInt8])
        case regex(RegularExpression)
        case present
    }

    private let kind: Kind
    private let ignoresCase: Bool

    init(_ match: StringMatch, ignoresCase: Bool) throws {
        self.ignoresCase = ignoresCase
        let bytes = { (text: String) in ignoresCase ? text.utf8.map(Self.lowercased) : Array(text.utf8) }
        kind =
            switch match {
            case .exact(let text): .exact(bytes(text))
            case .prefix(let text): .prefix(bytes(text))
            case .suffix(let text): .suffix(bytes(text))
            // Envoy's `ignore_case` has no effect on regular expressions.
            case .regex(let pattern): .regex(try Self.compiled(pattern))
            case .present: .present
            }
    }

    var isPresence: Bool { if case .present = kind { true } else { false } }

    /// The text of an exact match.
    var exactText: String? { if case .exact(let bytes) = kind { String(decoding: bytes, as: UTF8.self) } else { nil } }

    func matches(_ value: Substring) -> Bool {
        switch kind {
        case .present: true
        case .regex(let expression): expression.matchesWhole(value)
        case .exact(let bytes): value.utf8.count == bytes.count && starts(value.utf8, with: bytes)
        case .prefix(let bytes): starts(value.utf8, with: bytes)
        case .suffix(let bytes): starts(value.utf8.suffix(bytes.count), with: bytes)
        }
    }

    private func starts(_ value: some Sequence<UInt8>, with bytes: [UInt8]) -> Bool {
        ignoresCase ? value.lazy.map(Self.lowercased).starts(with: bytes) : value.starts(with: bytes)
    }

    private static func lowercased(_ byte: UInt8) -> UInt8 {
        (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
    }

    private static func compiled(_ pattern: String) throws -> RegularExpression {
        do {
            return try RegularExpression(pattern)
        } catch {
            throw RouteRegexError(pattern: pattern, reason: "\(error)")
        }
    }
}
