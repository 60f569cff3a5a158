import NetworkAddresses
import ProxyModel

/// One of Envoy's access-log command operators.
struct AccessLogOperator: Sendable {
    enum Value {
        case text(String)
        case number(UInt64)
    }

    private let name: String
    private let argument: String?
    private let maxLength: Int?

    /// From the text between the percent signs: `NAME`, `NAME(ARGUMENT)` or `NAME(ARGUMENT):LENGTH`.
    init(_ text: Substring) {
        if let open = text.firstIndex(of: "("), let close = text.lastIndex(of: ")"), open < close {
            name = String(text[..<open])
            argument = String(text[text.index(after: open)..<close])
            let tail = text[text.index(after: close)...]
            maxLength = tail.first == ":" ? Int(tail.dropFirst()) : nil
        } else {
            name = String(text)
            argument = nil
            maxLength = nil
        }
    }

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
        case "START_TIME": UTCTime(secondsSince1970: record.startTime).iso8601
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
