/// An expression of the Common Expression Language over what a proxy knows of a request or connection: the part of it
/// that access-log filters are written in.
package indirect enum LogExpression: Sendable, Equatable {
    package enum Literal: Sendable, Equatable {
        case bool(Bool)
        case number(Double)
        case text(String)
        case null
    }

    package enum Operator: String, Sendable, Equatable {
        case or = "||"
        case and = "&&"
        case equal = "=="
        case notEqual = "!="
        case less = "<"
        case lessOrEqual = "<="
        case greater = ">"
        case greaterOrEqual = ">="
        case contained = "in"
        case add = "+"
        case subtract = "-"
        case multiply = "*"
        case divide = "/"
        case remainder = "%"
    }

    case literal(Literal)
    /// `response.code`
    case attribute(String)
    /// `request.headers['x-team']`: the map, and the key.
    case element(of: String, LogExpression)
    case list([LogExpression])
    case not(LogExpression)
    case negative(LogExpression)
    case binary(Operator, LogExpression, LogExpression)
    case conditional(LogExpression, LogExpression, LogExpression)
    /// `has(response.code)`
    case has(String)
    /// `request.path.startsWith('/api')`, `size(request.path)`
    case call(String, [LogExpression])

    /// Why a text is no expression that can be worked out here.
    package struct Invalid: Error, CustomStringConvertible {
        package let description: String
    }

    /// The expression that `text` is.
    package init(_ text: String) throws(Invalid) {
        var parser = LogExpressionParser(text)
        self = try parser.whole()
    }

    /// What may be asked of a request or connection, beside the maps.
    static let attributes: Set<String> = [
        "request.path", "request.url_path", "request.host", "request.scheme", "request.method", "request.referer",
        "request.useragent", "request.id", "request.protocol", "request.query", "request.size", "response.code",
        "response.code_details", "response.flags", "response.size", "source.address", "source.port",
        "destination.address", "destination.port", "connection.mtls", "connection.requested_server_name",
        "connection.tls_version", "connection.termination_details", "connection.uri_san_peer_certificate",
        "connection.subject_peer_certificate", "upstream.address", "upstream.port", "upstream.local_address",
        "upstream.tls_version", "upstream.uri_san_peer_certificate", "upstream.transport_failure_reason",
        "xds.cluster_name", "xds.route_name", "xds.filter_chain_name",
    ]

    static let maps: Set<String> = ["request.headers", "response.headers"]
    static let functions: [String: Int] = [
        "startsWith": 2, "endsWith": 2, "contains": 2, "matches": 2, "size": 1, "int": 1, "string": 1,
    ]

    /// The header fields that it asks for, in lower case.
    package var headers: (request: Set<String>, response: Set<String>) {
        switch self {
        case .literal, .attribute, .has: return ([], [])
        case .element(let map, .literal(.text(let name))):
            return map == "request.headers" ? ([name.lowercased()], []) : ([], [name.lowercased()])
        case .element(_, let key): return key.headers
        case .list(let all), .call(_, let all): return Self.joined(all)
        case .not(let one), .negative(let one): return one.headers
        case .binary(.contained, .literal(.text(let name)), .attribute("request.headers")):
            return ([name.lowercased()], [])
        case .binary(.contained, .literal(.text(let name)), .attribute("response.headers")):
            return ([], [name.lowercased()])
        case .binary(_, let left, let right): return Self.joined([left, right])
        case .conditional(let condition, let left, let right): return Self.joined([condition, left, right])
        }
    }

    private static func joined(_ all: [LogExpression]) -> (request: Set<String>, response: Set<String>) {
        var result: (request: Set<String>, response: Set<String>) = ([], [])
        for one in all {
            let headers = one.headers
            result.request.formUnion(headers.request)
            result.response.formUnion(headers.response)
        }
        return result
    }
}
