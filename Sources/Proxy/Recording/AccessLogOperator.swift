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
    func value(in record: AccessLogRecord) -> Value? {
        switch name {
        case "RESPONSE_CODE": .number(UInt64(record.responseCode))
        case "BYTES_RECEIVED": .number(record.bytesReceived)
        case "BYTES_SENT": .number(record.bytesSent)
        case "DURATION": .number(record.durationMs)
        case "RESP" where argument?.uppercased() == "X-ENVOY-UPSTREAM-SERVICE-TIME":
            record.upstreamServiceTimeMs.map(Value.number)
        case "STREAM_ID", "CONNECTION_ID": .number(record.streamID)
        default: text(in: record).map { .text(maxLength.map($0.prefixString) ?? $0) }
        }
    }

    private func text(in record: AccessLogRecord) -> String? {
        switch name {
        case "START_TIME":
            argument.map { UTCTime.formatted(record.startTime, as: $0) }
                ?? UTCTime(secondsSince1970: record.startTime).iso8601
        case "REQ": requestHeader(in: record)
        case "PROTOCOL": record.protocol
        case "RESPONSE_FLAGS": record.responseFlags.isEmpty ? "-" : record.responseFlags.joined(separator: ",")
        case "RESPONSE_CODE_DETAILS": record.responseCodeDetails
        case "CONNECTION_TERMINATION_DETAILS": record.connectionTerminationDetails
        case "UPSTREAM_TRANSPORT_FAILURE_REASON": record.upstreamTransportFailureReason
        case "UPSTREAM_HOST": record.upstreamHost?.description
        case "UPSTREAM_CLUSTER", "UPSTREAM_CLUSTER_RAW": record.upstreamCluster
        case "UPSTREAM_LOCAL_ADDRESS": record.upstreamLocalAddress?.description
        case "DOWNSTREAM_LOCAL_ADDRESS": record.downstreamLocalAddress?.description
        case "DOWNSTREAM_REMOTE_ADDRESS": record.downstreamRemoteAddress?.description
        case "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT": record.downstreamLocalAddress?.address.description
        case "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": record.downstreamRemoteAddress?.address.description
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

    /// `REQ(FIRST?OTHER)`: the first header that has a value.
    private func requestHeader(in record: AccessLogRecord) -> String? {
        guard let argument else { return nil }
        for header in argument.split(separator: "?") {
            let value: String? =
                switch header.uppercased() {
                case ":METHOD": record.method
                case ":PATH": record.path
                case ":AUTHORITY", "HOST": record.authority
                case "X-FORWARDED-FOR": record.xForwardedFor
                case "USER-AGENT": record.userAgent
                case "X-REQUEST-ID": record.requestID
                default: nil
                }
            if let value { return value }
        }
        return nil
    }
}

extension String {
    fileprivate func prefixString(_ count: Int) -> String { String(prefix(count)) }
}
