import NetworkAddresses
import ProxyModel
import RegularExpressions

/// An access-log filter at work: as with Envoy, what can't be worked out is not logged.
struct LogFilter: Sendable {
    private enum Value: Equatable {
        case bool(Bool)
        case number(Double)
        case text(String)
        case list([Value])
        case null
    }

    private let expression: LogExpression

    init(_ expression: LogExpression) { self.expression = expression }

    func passes(_ record: AccessLogRecord) -> Bool { value(of: expression, record) == .bool(true) }

    /// nil: there is no such value, or a wrong one.
    private func value(of expression: LogExpression, _ record: AccessLogRecord) -> Value? {
        switch expression {
        case .literal(let literal):
            switch literal {
            case .bool(let value): return .bool(value)
            case .number(let value): return .number(value)
            case .text(let value): return .text(value)
            case .null: return .null
            }
        case .attribute(let name): return Self.attribute(name, record)
        case .element(let map, let key):
            guard case .text(let name)? = value(of: key, record) else { return nil }
            return Self.header(map, name, record).map(Value.text)
        case .list(let elements):
            let values = elements.compactMap { value(of: $0, record) }
            return values.count == elements.count ? .list(values) : nil
        case .not(let inner):
            guard case .bool(let value)? = value(of: inner, record) else { return nil }
            return .bool(!value)
        case .negative(let inner):
            guard case .number(let value)? = value(of: inner, record) else { return nil }
            return .number(-value)
        case .has(let name): return .bool(Self.attribute(name, record) != nil)
        case .conditional(let condition, let left, let right):
            guard case .bool(let isLeft)? = value(of: condition, record) else { return nil }
            return value(of: isLeft ? left : right, record)
        case .call(let name, let arguments): return call(name, arguments.map { value(of: $0, record) })
        case .binary(let symbol, let left, let right): return binary(symbol, left, right, record)
        }
    }

    private func binary(
        _ symbol: LogExpression.Operator, _ left: LogExpression, _ right: LogExpression, _ record: AccessLogRecord
    ) -> Value? {
        if symbol == .contained, case .attribute(let map) = right, case .text(let name)? = value(of: left, record) {
            return .bool(Self.header(map, name, record) != nil)
        }
        let (first, second) = (value(of: left, record), value(of: right, record))
        // One side that decides makes up for another that can't be worked out.
        switch symbol {
        case .or:
            if first == .bool(true) || second == .bool(true) { return .bool(true) }
            return first == .bool(false) && second == .bool(false) ? .bool(false) : nil
        case .and:
            if first == .bool(false) || second == .bool(false) { return .bool(false) }
            return first == .bool(true) && second == .bool(true) ? .bool(true) : nil
        default: break
        }
        guard let first, let second else { return nil }
        switch symbol {
        case .equal: return .bool(first == second)
        case .notEqual: return .bool(first != second)
        case .contained:
            guard case .list(let elements) = second else { return nil }
            return .bool(elements.contains(first))
        default: break
        }
        switch (first, second) {
        case (.number(let a), .number(let b)): return Self.compute(symbol, a, b)
        case (.text(let a), .text(let b)):
            switch symbol {
            case .less: return .bool(a < b)
            case .lessOrEqual: return .bool(a <= b)
            case .greater: return .bool(a > b)
            case .greaterOrEqual: return .bool(a >= b)
            case .add: return .text(a + b)
            default: return nil
            }
        default: return nil
        }
    }

    private static func compute(_ symbol: LogExpression.Operator, _ a: Double, _ b: Double) -> Value? {
        switch symbol {
        case .less: .bool(a < b)
        case .lessOrEqual: .bool(a <= b)
        case .greater: .bool(a > b)
        case .greaterOrEqual: .bool(a >= b)
        case .add: .number(a + b)
        case .subtract: .number(a - b)
        case .multiply: .number(a * b)
        case .divide: b == 0 ? nil : .number((a / b).rounded(.towardZero))
        case .remainder: b == 0 ? nil : .number(a.truncatingRemainder(dividingBy: b))
        default: nil
        }
    }

    private func call(_ name: String, _ arguments: [Value?]) -> Value? {
        switch (name, arguments.first.flatMap(\.self), arguments.dropFirst().first.flatMap(\.self)) {
        case ("startsWith", .text(let text), .text(let part)): return .bool(text.hasPrefix(part))
        case ("endsWith", .text(let text), .text(let part)): return .bool(text.hasSuffix(part))
        case ("contains", .text(let text), .text(let part)): return .bool(part.isEmpty || text.contains(part))
        case ("matches", .text(let text), .text(let pattern)):
            return (try? RegularExpression(searching: pattern)).map { .bool($0.matchesWhole(text)) }
        case ("size", .text(let text), nil): return .number(Double(text.unicodeScalars.count))
        case ("size", .list(let elements), nil): return .number(Double(elements.count))
        case ("int", .text(let text), nil): return Double(text).map(Value.number)
        case ("int", .number(let number), nil): return .number(number.rounded(.towardZero))
        case ("string", .text(let text), nil): return .text(text)
        case ("string", .number(let number), nil): return .text("\(Int(number))")
        case ("string", .bool(let value), nil): return .text("\(value)")
        default: return nil
        }
    }

    // MARK: Attributes

    private static func header(_ map: String, _ name: String, _ record: AccessLogRecord) -> String? {
        (map == "request.headers" ? record.requestHeaders : record.responseHeaders)?[name.lowercased()]
    }

    /// Envoy: "Attributes".
    private static func attribute(_ name: String, _ record: AccessLogRecord) -> Value? {
        let isHTTP = record.kind == .http
        func text(_ value: String?) -> Value? { value.map(Value.text) }
        switch name {
        case "request.path": return text(record.path)
        case "request.url_path": return text(record.path.map { String($0.prefix { $0 != "?" }) })
        case "request.query":
            return text(
                record.path.map { $0.split(separator: "?", maxSplits: 1).dropFirst().first.map(String.init) ?? "" })
        case "request.host": return text(record.authority)
        case "request.scheme": return isHTTP ? text(record.requestHeaders?[":scheme"] ?? "http") : nil
        case "request.method": return text(record.method)
        case "request.referer": return text(record.requestHeaders?["referer"])
        case "request.useragent": return text(record.userAgent)
        case "request.id": return text(record.requestID)
        case "request.protocol": return text(record.protocol)
        case "request.size": return .number(Double(record.bytesReceived))
        case "response.code": return record.responseCode > 0 ? .number(Double(record.responseCode)) : nil
        case "response.code_details": return text(record.responseCodeDetails)
        case "response.flags": return .number(Double(ResponseFlag.mask(of: record.responseFlags)))
        case "response.size": return .number(Double(record.bytesSent))
        case "source.address": return text(record.downstreamRemoteAddress?.description)
        case "source.port": return record.downstreamRemoteAddress.map { .number(Double($0.port)) }
        case "destination.address": return text(record.downstreamLocalAddress?.description)
        case "destination.port": return record.downstreamLocalAddress.map { .number(Double($0.port)) }
        case "connection.mtls": return .bool(record.downstreamPeerURISAN != nil)
        case "connection.requested_server_name": return text(record.requestedServerName ?? "")
        case "connection.tls_version": return text(record.downstreamTLSVersion)
        case "connection.termination_details": return text(record.connectionTerminationDetails)
        case "connection.uri_san_peer_certificate": return text(record.downstreamPeerURISAN)
        case "connection.subject_peer_certificate": return text(record.downstreamPeerSubject)
        case "upstream.address": return text(record.upstreamHost?.description)
        case "upstream.port": return record.upstreamHost.map { .number(Double($0.port)) }
        case "upstream.local_address": return text(record.upstreamLocalAddress?.description)
        case "upstream.tls_version": return text(record.upstreamTLSVersion)
        case "upstream.uri_san_peer_certificate": return text(record.upstreamPeerURISAN)
        case "upstream.transport_failure_reason": return text(record.upstreamTransportFailureReason)
        case "xds.cluster_name": return text(record.upstreamCluster)
        case "xds.route_name": return text(record.routeName)
        case "xds.filter_chain_name": return text(record.filterChainName)
        default: return nil
        }
    }
}

/// Envoy: `StreamInfo::CoreResponseFlag`, in its order.
enum ResponseFlag {
    private static let all: [(short: String, long: String)] = [
        ("LH", "FailedLocalHealthCheck"), ("UH", "NoHealthyUpstream"), ("UT", "UpstreamRequestTimeout"),
        ("LR", "LocalReset"), ("UR", "UpstreamRemoteReset"), ("UF", "UpstreamConnectionFailure"),
        ("UC", "UpstreamConnectionTermination"), ("UO", "UpstreamOverflow"), ("NR", "NoRouteFound"),
        ("DI", "DelayInjected"), ("FI", "FaultInjected"), ("RL", "RateLimited"),
        ("UAEX", "UnauthorizedExternalService"), ("RLSE", "RateLimitServiceError"),
        ("DC", "DownstreamConnectionTermination"), ("URX", "UpstreamRetryLimitExceeded"),
        ("SI", "StreamIdleTimeout"), ("IH", "InvalidEnvoyRequestHeaders"), ("DPE", "DownstreamProtocolError"),
        ("UMSDR", "UpstreamMaxStreamDurationReached"), ("RFCF", "ResponseFromCacheFilter"),
        ("NFCF", "NoFilterConfigFound"), ("DT", "DurationTimeout"), ("UPE", "UpstreamProtocolError"),
        ("NC", "NoClusterFound"), ("OM", "OverloadManagerTerminated"), ("DF", "DnsResolutionFailed"),
        ("DO", "DropOverload"),
    ]

    static func mask(of flags: [String]) -> UInt64 {
        flags.reduce(0) { mask, flag in
            all.firstIndex { $0.short == flag }.map { mask | 1 << UInt64($0) } ?? mask
        }
    }

    static func longName(of flag: String) -> String { all.first { $0.short == flag }?.long ?? flag }
}
