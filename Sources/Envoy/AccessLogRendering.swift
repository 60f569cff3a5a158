import ProxyModel

/// Renders access logs: one JSON object a line, on Envoy's standard output.
///
/// A line has the fields of `AccessLogRecord` and `line`, the user's own format rendered by Envoy itself. Where a record
/// comes from in the manifests is `route_origin`; without one, the reader finds the chain by `listener` and `chain`, or
/// the cluster by `upstream_cluster`, in the configuration that it gave. Origins are not written into chains and
/// clusters themselves: a line that moved in a manifest would make Envoy close their connections.
struct AccessLogRendering {
    /// The key of our own entries in Envoy's metadata.
    static let metadataKey = "egress-lab"

    let format: AccessLogConfiguration.Format?

    init(_ configuration: AccessLogConfiguration?) throws(EnvoyRenderingError) {
        format = try configuration.map { configuration throws(EnvoyRenderingError) in
            try Self.escaped(configuration.format)
        }
    }

    /// The log of a filter chain's connections or requests.
    func log(_ kind: AccessLogRecord.Kind, listener: String) -> JSON {
        [sink(fields(kind, listener: listener))]
    }

    /// The log of connections for which a listener has no filter chain.
    func unmatchedLog(listener: String) -> JSON {
        [sink(fields(.tcp, listener: listener), filter: ["response_flag_filter": ["flags": ["NR"]]])]
    }

    /// One line for each connection to the fence.
    static let fenceLog: JSON = [sink(["fence": true, "connection_id": "%CONNECTION_ID%"])]

    private func sink(_ fields: JSON, filter: JSON? = nil) -> JSON { Self.sink(fields, filter: filter) }

    private static func sink(_ fields: JSON, filter: JSON? = nil) -> JSON {
        [
            "name": "envoy.access_loggers.stdout", "filter": filter,
            "typed_config": .typed(
                "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog", ["log_format": ["json_format": fields]]),
        ]
    }

    private func fields(_ kind: AccessLogRecord.Kind, listener: String) -> JSON {
        [
            "log_type": "%ACCESS_LOG_TYPE%",
            "kind": .string(kind.rawValue),
            "listener": .string(Self.literal(listener)),
            "chain": "%FILTER_CHAIN_NAME%",
            "stream_id": "%STREAM_ID%",
            "connection_id": "%CONNECTION_ID%",
            "start_time": "%START_TIME(%s.%9f)%",
            "method": "%REQ(:METHOD)%",
            "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
            "protocol": "%PROTOCOL%",
            "response_code": "%RESPONSE_CODE%",
            "response_flags": "%RESPONSE_FLAGS%",
            "response_code_details": "%RESPONSE_CODE_DETAILS%",
            "connection_termination_details": "%CONNECTION_TERMINATION_DETAILS%",
            "upstream_transport_failure_reason": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
            "bytes_received": "%BYTES_RECEIVED%",
            "bytes_sent": "%BYTES_SENT%",
            "duration": "%DURATION%",
            "upstream_service_time": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
            "x_forwarded_for": "%REQ(X-FORWARDED-FOR)%",
            "user_agent": "%REQ(USER-AGENT)%",
            "request_id": "%REQ(X-REQUEST-ID)%",
            "authority": "%REQ(:AUTHORITY)%",
            "upstream_host": "%UPSTREAM_HOST%",
            "upstream_cluster": "%UPSTREAM_CLUSTER_RAW%",
            "upstream_local_address": "%UPSTREAM_LOCAL_ADDRESS%",
            "upstream_connection_id": "%UPSTREAM_CONNECTION_ID%",
            "downstream_local_address": "%DOWNSTREAM_LOCAL_ADDRESS%",
            "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
            "requested_server_name": "%REQUESTED_SERVER_NAME%",
            "route_name": "%ROUTE_NAME%",
            "route_origin": .string("%METADATA(ROUTE:\(Self.metadataKey):origin)%"),
            "line": line,
        ]
    }

    /// A text keeps its newline, so that it never is one lone operator, which Envoy would write as number or null.
    private var line: JSON? {
        switch format {
        case .text(let text): .string(text.hasSuffix("\n") ? text : text + "\n")
        case .json(let members): .object(members.mapValues(JSON.string))
        case nil: nil
        }
    }

    // MARK: Formats

    private static func escaped(
        _ format: AccessLogConfiguration.Format
    ) throws(EnvoyRenderingError) -> AccessLogConfiguration.Format {
        switch format {
        case .text(let text): return .text(try escaped(text))
        case .json(let members):
            var result: [String: String] = [:]
            for (key, value) in members { result[key] = try escaped(value) }
            return .json(result)
        }
    }

    /// The format with percent signs that begin no operator doubled, as Envoy wants them.
    private static func escaped(_ format: String) throws(EnvoyRenderingError) -> String {
        var result = ""
        for piece in AccessLogPiece.pieces(of: format) {
            switch piece {
            case .literal(let text): result += literal(text)
            case .command(let name, let argument, let maxLength):
                guard operators.contains(name) else {
                    throw EnvoyRenderingError(
                        place: "the access log format", problem: "it has no command operator %\(name)%",
                        remedy: "remove it from meshConfig.accessLogFormat")
                }
                result += "%" + name + (argument.map { "(\($0))" } ?? "") + (maxLength.map { ":\($0)" } ?? "") + "%"
            }
        }
        return result
    }

    /// Text that Envoy must not take for operators.
    static func literal(_ text: String) -> String {
        text.split(separator: "%", omittingEmptySubsequences: false).joined(separator: "%%")
    }

    /// The command operators of Envoy 1.40.
    private static let operators: Set<String> = [
        "ACCESS_LOG_TYPE", "BYTES_RECEIVED", "BYTES_RETRANSMITTED", "BYTES_SENT", "COMMON_DURATION", "CONNECTION_ID",
        "CONNECTION_TERMINATION_DETAILS", "COALESCE", "CUSTOM_FLAGS", "DOWNSTREAM_DETECTED_CLOSE_TYPE",
        "DOWNSTREAM_DIRECT_LOCAL_ADDRESS", "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT",
        "DOWNSTREAM_DIRECT_LOCAL_PORT", "DOWNSTREAM_DIRECT_REMOTE_ADDRESS",
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT", "DOWNSTREAM_DIRECT_REMOTE_PORT",
        "DOWNSTREAM_HANDSHAKE_DURATION",
        "DOWNSTREAM_HEADER_BYTES_RECEIVED", "DOWNSTREAM_HEADER_BYTES_SENT", "DOWNSTREAM_LOCAL_ADDRESS",
        "DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID", "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
        "DOWNSTREAM_LOCAL_CLOSE_REASON",
        "DOWNSTREAM_LOCAL_DNS_SAN", "DOWNSTREAM_LOCAL_EMAIL_SAN", "DOWNSTREAM_LOCAL_IP_SAN",
        "DOWNSTREAM_LOCAL_OTHERNAME_SAN", "DOWNSTREAM_LOCAL_PORT", "DOWNSTREAM_LOCAL_SUBJECT",
        "DOWNSTREAM_LOCAL_URI_SAN",
        "DOWNSTREAM_PEER_CERT", "DOWNSTREAM_PEER_CERT_V_END", "DOWNSTREAM_PEER_CERT_V_START",
        "DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1", "DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256",
        "DOWNSTREAM_PEER_CHAIN_SERIALS", "DOWNSTREAM_PEER_DNS_SAN", "DOWNSTREAM_PEER_EMAIL_SAN",
        "DOWNSTREAM_PEER_FINGERPRINT_1", "DOWNSTREAM_PEER_FINGERPRINT_256", "DOWNSTREAM_PEER_IP_SAN",
        "DOWNSTREAM_PEER_ISSUER", "DOWNSTREAM_PEER_OTHERNAME_SAN", "DOWNSTREAM_PEER_SERIAL", "DOWNSTREAM_PEER_SUBJECT",
        "DOWNSTREAM_PEER_URI_SAN", "DOWNSTREAM_REMOTE_ADDRESS", "DOWNSTREAM_REMOTE_ADDRESS_ENDPOINT_ID",
        "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", "DOWNSTREAM_REMOTE_PORT", "DOWNSTREAM_TLS_CIPHER",
        "DOWNSTREAM_TLS_SESSION_ID", "DOWNSTREAM_TLS_VERSION", "DOWNSTREAM_TRANSPORT_FAILURE_REASON",
        "DOWNSTREAM_WIRE_BYTES_RECEIVED", "DOWNSTREAM_WIRE_BYTES_SENT", "DURATION", "DYNAMIC_METADATA",
        "EMIT_TIME", "ENVIRONMENT", "FILE_CONTENT", "FILTER_CHAIN_NAME", "FILTER_STATE", "GRPC_STATUS",
        "GRPC_STATUS_NUMBER", "HOSTNAME", "LOCAL_REPLY_BODY", "METADATA", "PATH", "PROTOCOL", "QUERY_PARAM",
        "QUERY_PARAMS", "REQ", "REQUESTED_SERVER_NAME", "REQUEST_DURATION", "REQUEST_HEADERS_BYTES",
        "REQUEST_TX_DURATION", "RESP", "RESPONSE_CODE", "RESPONSE_CODE_DETAILS", "RESPONSE_DURATION", "RESPONSE_FLAGS",
        "RESPONSE_FLAGS_LONG", "RESPONSE_HEADERS_BYTES", "RESPONSE_TRAILERS_BYTES", "RESPONSE_TX_DURATION",
        "ROUNDTRIP_DURATION", "ROUTE_NAME", "SPAN_ID", "START_TIME", "START_TIME_LOCAL", "EMIT_TIME_LOCAL", "STREAM_ID",
        "TLS_JA3_FINGERPRINT", "TLS_JA4_FINGERPRINT", "TRACE_ID", "TRAILER", "UNIQUE_ID", "UPSTREAM_CLUSTER",
        "UPSTREAM_CLUSTER_RAW", "UPSTREAM_CONNECTION_ID", "UPSTREAM_CONNECTION_POOL_READY_DURATION",
        "UPSTREAM_DETECTED_CLOSE_TYPE", "UPSTREAM_FILTER_STATE", "UPSTREAM_HEADER_BYTES_RECEIVED",
        "UPSTREAM_HEADER_BYTES_SENT", "UPSTREAM_HOST", "UPSTREAM_HOSTS_ATTEMPTED",
        "UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT",
        "UPSTREAM_HOST_NAME", "UPSTREAM_HOST_NAME_WITHOUT_PORT", "UPSTREAM_LOCAL_ADDRESS",
        "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", "UPSTREAM_LOCAL_CLOSE_REASON", "UPSTREAM_LOCAL_PORT",
        "UPSTREAM_METADATA", "UPSTREAM_PEER_CERT", "UPSTREAM_PROTOCOL", "UPSTREAM_REMOTE_ADDRESS",
        "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", "UPSTREAM_REMOTE_PORT", "UPSTREAM_REQUEST_ATTEMPT_COUNT",
        "UPSTREAM_TLS_CIPHER", "UPSTREAM_TLS_VERSION", "UPSTREAM_TRANSPORT_FAILURE_REASON",
        "UPSTREAM_WIRE_BYTES_RECEIVED", "UPSTREAM_WIRE_BYTES_SENT", "VIRTUAL_CLUSTER_NAME",
    ]
}
