import NetworkAddresses
import ProxyModel

/// One of Envoy's access-log command operators.
struct AccessLogOperator: Sendable {
    enum Value {
        case text(String)
        case number(UInt64)
    }

    let name: String
    let argument: String?
    let maxLength: Int?

    /// The operator's value for a record; nil when it has none. Operators that the lab does not know have none.
    func value(in record: AccessLogRecord, hostName: String) -> Value? {
        switch name {
        case "RESPONSE_CODE": .number(UInt64(record.responseCode))
        case "BYTES_RECEIVED": .number(record.bytesReceived)
        case "BYTES_SENT": .number(record.bytesSent)
        case "DURATION": .number(record.durationMs)
        case "REQUEST_DURATION": record.requestDurationMs.map(Value.number)
        case "RESPONSE_DURATION": record.responseDurationMs.map(Value.number)
        case "RESPONSE_TX_DURATION":
            record.responseDurationMs.map { .number(record.durationMs > $0 ? record.durationMs - $0 : 0) }
        case "UPSTREAM_REQUEST_ATTEMPT_COUNT": .number(UInt64(record.upstreamAttempts ?? 0))
        case "RESP" where argument?.uppercased() == "X-ENVOY-UPSTREAM-SERVICE-TIME":
            record.upstreamServiceTimeMs.map { .text(String($0)) }
        case "CONNECTION_ID": .number(record.streamID)
        case "DOWNSTREAM_REMOTE_PORT", "DOWNSTREAM_DIRECT_REMOTE_PORT": Self.port(record.downstreamRemoteAddress)
        case "DOWNSTREAM_LOCAL_PORT": Self.port(record.downstreamLocalAddress)
        case "UPSTREAM_LOCAL_PORT": Self.port(record.upstreamLocalAddress)
        case "UPSTREAM_REMOTE_PORT": Self.port(Self.connectedHost(record))
        case "HOSTNAME": .text(hostName)
        default: text(in: record).map { .text(maxLength.map($0.prefixString) ?? $0) }
        }
    }

    private static func port(_ endpoint: IPEndpoint?) -> Value? { endpoint.map { .number(UInt64($0.port)) } }

    /// The upstream's address, once there is a connection.
    private static func connectedHost(_ record: AccessLogRecord) -> IPEndpoint? {
        record.upstreamLocalAddress == nil ? nil : record.upstreamHost
    }

    private func text(in record: AccessLogRecord) -> String? {
        switch name {
        case "START_TIME":
            argument.map { UTCTime.formatted(record.startTime, as: $0) }
                ?? UTCTime(secondsSince1970: record.startTime).iso8601
        case "EMIT_TIME": emitTime(of: record)
        case "STREAM_ID": "\(record.streamID)"
        case "REQ": requestHeader(in: record)
        case "RESP": header(in: record.responseHeaders)
        case "TRAILER": header(in: record.responseTrailers)
        case "PATH":
            (argument ?? "").hasPrefix("NQ") ? record.path.map { String($0.prefix { $0 != "?" }) } : record.path
        case "QUERY_PARAMS": Self.query(of: record).map(String.init)
        case "QUERY_PARAM": queryParameter(in: record)
        case "RESPONSE_FLAGS_LONG":
            record.responseFlags.isEmpty
                ? "-" : record.responseFlags.map(ResponseFlag.longName).joined(separator: ",")
        case "ACCESS_LOG_TYPE":
            record.kind == .http
                ? "DownstreamEnd" : record.filterChainName == nil ? "NotSet" : "TcpConnectionEnd"
        case "PROTOCOL": record.protocol
        case "RESPONSE_FLAGS": record.responseFlags.isEmpty ? "-" : record.responseFlags.joined(separator: ",")
        case "RESPONSE_CODE_DETAILS": record.responseCodeDetails
        case "CONNECTION_TERMINATION_DETAILS": record.connectionTerminationDetails
        case "UPSTREAM_TRANSPORT_FAILURE_REASON": record.upstreamTransportFailureReason
        case "UPSTREAM_HOST": record.upstreamHost?.description
        case "UPSTREAM_CLUSTER", "UPSTREAM_CLUSTER_RAW": record.upstreamCluster
        case "UPSTREAM_LOCAL_ADDRESS": record.upstreamLocalAddress?.description
        case "DOWNSTREAM_LOCAL_ADDRESS": record.downstreamLocalAddress?.description
        case "DOWNSTREAM_REMOTE_ADDRESS", "DOWNSTREAM_DIRECT_REMOTE_ADDRESS":
            record.downstreamRemoteAddress?.description
        case "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT": record.downstreamLocalAddress?.address.description
        case "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT":
            record.downstreamRemoteAddress?.address.description
        case "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT": record.upstreamLocalAddress?.address.description
        case "UPSTREAM_REMOTE_ADDRESS": Self.connectedHost(record)?.description
        case "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": Self.connectedHost(record)?.address.description
        case "UPSTREAM_PROTOCOL": record.upstreamProtocol
        case "REQUESTED_SERVER_NAME": record.requestedServerName
        case "ROUTE_NAME": record.routeName
        case "FILTER_CHAIN_NAME": record.filterChainName
        case "DOWNSTREAM_TLS_VERSION": record.downstreamTLSVersion
        case "DOWNSTREAM_PEER_URI_SAN": record.downstreamPeerURISAN
        case "DOWNSTREAM_PEER_SUBJECT": record.downstreamPeerSubject
        case "DOWNSTREAM_LOCAL_URI_SAN": record.downstreamLocalURISAN
        case "DOWNSTREAM_TRANSPORT_FAILURE_REASON": record.downstreamTransportFailureReason
        case "UPSTREAM_TLS_VERSION": record.upstreamTLSVersion
        case "UPSTREAM_PEER_URI_SAN": record.upstreamPeerURISAN
        default: nil
        }
    }

    private func emitTime(of record: AccessLogRecord) -> String {
        let end = record.startTime + Double(record.durationMs) / 1000
        return argument.map { UTCTime.formatted(end, as: $0) } ?? UTCTime(secondsSince1970: end).iso8601
    }

    /// `REQ(FIRST?OTHER)`: the first header that there is.
    private func requestHeader(in record: AccessLogRecord) -> String? {
        // Its path is the original one, whatever the request had when it went on.
        if argument?.lowercased() == "x-envoy-original-path?:path" { return record.path }
        for name in (argument ?? "").lowercased().split(separator: "?") {
            if let value = record.requestHeaders?[String(name)] ?? Self.recorded(name, record) { return value }
        }
        return nil
    }

    /// Of the header fields that every record has.
    private static func recorded(_ name: Substring, _ record: AccessLogRecord) -> String? {
        switch name {
        case ":method": record.method
        case ":path": record.path
        case ":authority", "host": record.authority
        case "x-forwarded-for": record.xForwardedFor
        case "user-agent": record.userAgent
        case "x-request-id": record.requestID
        default: nil
        }
    }

    private func header(in fields: [String: String]?) -> String? {
        guard let argument, let fields else { return nil }
        for name in argument.lowercased().split(separator: "?") {
            if let value = fields[String(name)] { return value }
        }
        return nil
    }

    private static func query(of record: AccessLogRecord) -> Substring? {
        guard let path = record.path, let mark = path.firstIndex(of: "?") else { return nil }
        return path[path.index(after: mark)...]
    }

    private func queryParameter(in record: AccessLogRecord) -> String? {
        for item in Self.query(of: record)?.split(separator: "&") ?? [] {
            let pair = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if pair[0] == argument ?? "" { return pair.count > 1 ? String(pair[1]) : "" }
        }
        return nil
    }
}

extension String {
    fileprivate func prefixString(_ count: Int) -> String { String(prefix(count)) }
}
