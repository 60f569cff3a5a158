import Foundation
import NetworkAddresses
import ProxyModel

/// One line of Envoy's output, as `AccessLogRendering` has it written.
struct EnvoyLogLine: Decodable, Sendable {
    /// Envoy: `data.accesslog.v3.AccessLogType`, as `%ACCESS_LOG_TYPE%` prints it.
    enum Kind: String, Decodable, Sendable {
        case notSet = "NotSet"
        case tcpConnectionStart = "TcpConnectionStart"
        case tcpUpstreamConnected = "TcpUpstreamConnected"
        case tcpPeriodic = "TcpPeriodic"
        case tcpConnectionEnd = "TcpConnectionEnd"
        case downstreamStart = "DownstreamStart"
        case downstreamPeriodic = "DownstreamPeriodic"
        case downstreamEnd = "DownstreamEnd"
        case downstreamTunnelEstablished = "DownstreamTunnelSuccessfullyEstablished"
        case upstreamPoolReady = "UpstreamPoolReady"
        case upstreamPeriodic = "UpstreamPeriodic"
        case upstreamEnd = "UpstreamEnd"
        case udpTunnelConnected = "UdpTunnelUpstreamConnected"
        case udpPeriodic = "UdpPeriodic"
        case udpSessionEnd = "UdpSessionEnd"
    }

    /// Whether this is a line of the fence; it has nothing else then.
    var fence: Bool?
    /// Whether the user's log leaves it out.
    var unlogged: Bool?
    var kind: Kind?
    var listener: String?
    var chain: String?
    /// Which of the listener's chains of that name it is, but for the first.
    var namesake: Int?
    var streamID: String?
    var connectionID: UInt64?
    /// Seconds since 1970, with a fraction.
    var startTime: String?
    var method: String?
    var path: String?
    var `protocol`: String?
    var responseCode: Int?
    var responseFlags: String?
    var responseCodeDetails: String?
    var connectionTerminationDetails: String?
    var upstreamTransportFailureReason: String?
    var bytesReceived: UInt64?
    var bytesSent: UInt64?
    var duration: UInt64?
    var upstreamServiceTime: String?
    var xForwardedFor: String?
    var userAgent: String?
    var requestID: String?
    var authority: String?
    var upstreamHost: String?
    var upstreamCluster: String?
    var upstreamLocalAddress: String?
    var upstreamConnectionID: UInt64?
    var downstreamLocalAddress: String?
    var downstreamRemoteAddress: String?
    /// The peer itself, whatever `x-forwarded-for` says.
    var downstreamDirectRemoteAddress: String?
    var downstreamTLSVersion: String?
    var downstreamPeerURISAN: String?
    var downstreamPeerSubject: String?
    var downstreamLocalURISAN: String?
    var downstreamTransportFailureReason: String?
    var upstreamTLSVersion: String?
    var upstreamPeerURISAN: String?
    var requestedServerName: String?
    var routeName: String?
    var routeOrigin: String?
    /// In the formats of the user's logs.
    var lines: [UserLine]?

    /// What one of the user's logs has.
    struct UserLine: Decodable, Sendable {
        var path: String?
        /// Whether the log has a filter, and what came of it: `true`, anything else, or nothing.
        var filtered: Bool?
        var passes: String?
        var line: JSONValue?

        /// As the bundled proxy would print it; nil where the filter leaves it out.
        var text: String? {
            if filtered == true, passes != "true" { return nil }
            switch line {
            case nil, .null: return nil
            case .string(let text): return text.hasSuffix("\n") ? String(text.dropLast()) : text
            case let value?: return value.text
            }
        }
    }

    private enum CodingKeys: String, CodingKey {
        case fence, unlogged, listener, chain, namesake, method, path, `protocol`, duration, authority, lines
        case kind = "log_type"
        case streamID = "stream_id"
        case connectionID = "connection_id"
        case startTime = "start_time"
        case responseCode = "response_code"
        case responseFlags = "response_flags"
        case responseCodeDetails = "response_code_details"
        case connectionTerminationDetails = "connection_termination_details"
        case upstreamTransportFailureReason = "upstream_transport_failure_reason"
        case bytesReceived = "bytes_received"
        case bytesSent = "bytes_sent"
        case upstreamServiceTime = "upstream_service_time"
        case xForwardedFor = "x_forwarded_for"
        case userAgent = "user_agent"
        case requestID = "request_id"
        case upstreamHost = "upstream_host"
        case upstreamCluster = "upstream_cluster"
        case upstreamLocalAddress = "upstream_local_address"
        case upstreamConnectionID = "upstream_connection_id"
        case downstreamLocalAddress = "downstream_local_address"
        case downstreamRemoteAddress = "downstream_remote_address"
        case downstreamDirectRemoteAddress = "downstream_direct_remote_address"
        case downstreamTLSVersion = "downstream_tls_version"
        case downstreamPeerURISAN = "downstream_peer_uri_san"
        case downstreamPeerSubject = "downstream_peer_subject"
        case downstreamLocalURISAN = "downstream_local_uri_san"
        case downstreamTransportFailureReason = "downstream_transport_failure_reason"
        case upstreamTLSVersion = "upstream_tls_version"
        case upstreamPeerURISAN = "upstream_peer_uri_san"
        case requestedServerName = "requested_server_name"
        case routeName = "route_name"
        case routeOrigin = "route_origin"
    }

    /// Throws when `text` is no such line.
    init(_ text: String) throws {
        self = try JSONDecoder().decode(EnvoyLogLine.self, from: Data(text.utf8))
    }

    /// Whether it is the last line about a request or a connection, which is what a log has without our own additions.
    var isFinal: Bool {
        switch kind {
        case .tcpConnectionEnd, .downstreamEnd, .notSet: true
        default: false
        }
    }

    /// Whether it is one of the user's logs.
    var isLogged: Bool { unlogged != true && (lines.map { $0.contains { $0.text != nil } } ?? true) }

    /// The record that the line stands for.
    func record(streamID: UInt64) -> AccessLogRecord {
        var record = AccessLogRecord(
            kind: kind == .downstreamEnd ? .http : .tcp, streamID: streamID,
            startTime: startTime.flatMap(Double.init) ?? 0)
        record.method = method
        record.path = path
        record.protocol = `protocol`
        record.responseCode = responseCode ?? 0
        record.responseFlags = (responseFlags ?? "-").split(separator: ",").map(String.init).filter { $0 != "-" }
        record.responseCodeDetails = responseCodeDetails
        record.connectionTerminationDetails = connectionTerminationDetails
        record.upstreamTransportFailureReason = upstreamTransportFailureReason
        record.bytesReceived = bytesReceived ?? 0
        record.bytesSent = bytesSent ?? 0
        record.durationMs = duration ?? 0
        record.upstreamServiceTimeMs = upstreamServiceTime.flatMap(UInt64.init)
        record.xForwardedFor = xForwardedFor
        record.userAgent = userAgent
        record.requestID = requestID
        record.authority = authority
        record.upstreamHost = upstreamHost.flatMap { IPEndpoint($0) }
        record.upstreamCluster = upstreamCluster
        record.upstreamLocalAddress = upstreamLocalAddress.flatMap { IPEndpoint($0) }
        record.downstreamLocalAddress = downstreamLocalAddress.flatMap { IPEndpoint($0) }
        record.downstreamRemoteAddress = downstreamRemoteAddress.flatMap { IPEndpoint($0) }
        record.downstreamTLSVersion = downstreamTLSVersion
        record.downstreamPeerURISAN = downstreamPeerURISAN
        record.downstreamPeerSubject = downstreamPeerSubject
        record.downstreamLocalURISAN = downstreamLocalURISAN
        record.downstreamTransportFailureReason = downstreamTransportFailureReason
        record.upstreamTLSVersion = upstreamTLSVersion
        record.upstreamPeerURISAN = upstreamPeerURISAN
        record.requestedServerName = requestedServerName
        record.routeName = routeName
        record.filterChainName = chain
        return record
    }

    /// The lines of the user's own access logs.
    var userLines: [ProxyLogLine] {
        (lines ?? []).compactMap { line in line.text.map { ProxyLogLine(path: line.path ?? "", text: $0) } }
    }
}

/// A JSON value of unknown shape.
enum JSONValue: Decodable, Sendable, Equatable {
    case null
    case bool(Bool)
    case integer(Int64)
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object([String: JSONValue])

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(String.self) {
            self = .string(value)
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Int64.self) {
            self = .integer(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else if let value = try? container.decode([String: JSONValue].self) {
            self = .object(value)
        } else {
            self = .array(try container.decode([JSONValue].self))
        }
    }

    /// On one line, keys sorted.
    var text: String {
        switch self {
        case .null: "null"
        case .bool(let value): value ? "true" : "false"
        case .integer(let value): String(value)
        case .number(let value): String(value)
        case .string(let value): JSONText.quoted(value)
        case .array(let values): "[\(values.map(\.text).joined(separator: ","))]"
        case .object(let members):
            "{"
                + members.sorted { $0.key < $1.key }.map { "\(JSONText.quoted($0.key)):\($0.value.text)" }
                .joined(separator: ",") + "}"
        }
    }
}
