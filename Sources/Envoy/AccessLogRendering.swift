import ProxyModel

/// Renders access logs: one JSON object a line, on Envoy's standard output.
///
/// A line has the fields of `AccessLogRecord` and `lines`, the user's own formats rendered by Envoy itself; `unlogged`
/// ones are none of the user's logs. Where a record comes from in the manifests is `route_origin`; without one, the
/// reader finds the chain by `listener`, `chain` and `namesake`, or the cluster by `upstream_cluster`, in the
/// configuration that it gave. Origins are not written into chains and
/// clusters themselves: a line that moved in a manifest would make Envoy close their connections.
struct AccessLogRendering {
    /// The key of our own entries in Envoy's metadata.
    static let metadataKey = "egress-lab"

    private typealias Direction = Listener.TrafficDirection

    /// The user's logs, ready for Envoy.
    private var logs: [Listener.TrafficDirection: [Log]] = [:]
    /// Whether any direction has one.
    private let hasLogs: Bool

    private struct Log {
        var configuration: AccessLogConfiguration
        /// Envoy of Istio 1.0's time did not know the local address of the connections that it kept for HTTP.
        var hidesLocalAddressOfHTTP: Bool
    }

    init(_ configuration: ProxyConfiguration) throws(EnvoyRenderingError) {
        hasLogs = configuration.writesAccessLog
        for direction in [Direction.outbound, .inbound] {
            for var log in configuration.accessLogs(of: direction) {
                let isOld = log.format == .istio10Text
                log.format = try Self.escaped(log.format)
                logs[direction, default: []].append(Log(configuration: log, hidesLocalAddressOfHTTP: isOld))
            }
        }
    }

    /// The log of a filter chain's connections or requests. Those that the user's own log leaves out are evidence all
    /// the same.
    ///
    /// - Parameter namesake: which of the listener's chains of that name it is.
    func log(_ kind: AccessLogRecord.Kind, of chain: FilterChain, namesake: Int, listener: Listener) -> JSON {
        [sink(fields(kind, listener: listener, namesake: namesake, isLogged: isLogged(chain, listener)))]
    }

    /// One line for each upstream connection that is about to carry a request, new or from a pool.
    func attemptLog(of chain: FilterChain, namesake: Int, listener: Listener) -> JSON {
        [
            sink(
                fields(.http, listener: listener, namesake: namesake, isLogged: isLogged(chain, listener)),
                filter: ["log_type_filter": ["types": ["UpstreamPoolReady"]]])
        ]
    }

    /// The log of connections for which a listener has no filter chain.
    func unmatchedLog(listener: Listener) -> JSON {
        [
            sink(
                fields(.tcp, listener: listener, isLogged: isLogged(listener)),
                filter: ["response_flag_filter": ["flags": ["NR"]]])
        ]
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

    /// What one direction's log leaves out is in no log.
    private func isLogged(_ chain: FilterChain, _ listener: Listener) -> Bool {
        chain.isLogged && isLogged(listener)
    }

    private func isLogged(_ listener: Listener) -> Bool { !hasLogs || logs[listener.trafficDirection] != nil }

    private func fields(
        _ kind: AccessLogRecord.Kind, listener: Listener, namesake: Int = 0, isLogged: Bool = true
    ) -> JSON {
        let logs = isLogged ? logs[listener.trafficDirection] ?? [] : []
        return [
            "unlogged": isLogged ? nil : true,
            "log_type": "%ACCESS_LOG_TYPE%",
            "kind": .string(kind.rawValue),
            "listener": .string(Self.literal(listener.name)),
            "chain": "%FILTER_CHAIN_NAME%",
            "namesake": namesake > 0 ? .number(namesake) : nil,
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
            // The peer itself, by which flows are followed; the other operator may give what `x-forwarded-for` claims.
            "downstream_remote_address": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%",
            "downstream_tls_version": "%DOWNSTREAM_TLS_VERSION%",
            "downstream_peer_uri_san": "%DOWNSTREAM_PEER_URI_SAN%",
            "downstream_peer_subject": "%DOWNSTREAM_PEER_SUBJECT%",
            "downstream_local_uri_san": "%DOWNSTREAM_LOCAL_URI_SAN%",
            "downstream_transport_failure_reason": "%DOWNSTREAM_TRANSPORT_FAILURE_REASON%",
            "upstream_tls_version": "%UPSTREAM_TLS_VERSION%",
            "upstream_peer_uri_san": "%UPSTREAM_PEER_URI_SAN%",
            "requested_server_name": "%REQUESTED_SERVER_NAME%",
            "route_name": "%ROUTE_NAME%",
            "route_origin": .string("%METADATA(ROUTE:\(Self.metadataKey):origin)%"),
            "lines": logs.isEmpty ? nil : .array(logs.map { Self.line(of: $0, kind) }),
        ]
    }

    /// What the user's log has of it: with `filtered` and `passes` where an expression decides that.
    private static func line(of log: Log, _ kind: AccessLogRecord.Kind) -> JSON {
        let filter = log.configuration.filter
        return [
            "path": .string(literal(log.configuration.path)),
            "filtered": filter == nil ? nil : true,
            "passes": filter.map { .string("%CEL(\(inOneOperator($0)))%") },
            "line": line(of: log.configuration, hidesLocalAddress: log.hidesLocalAddressOfHTTP && kind == .http),
        ]
    }

    /// A text keeps its newline, so that it never is one lone operator, which Envoy would write as number or null.
    private static func line(of log: AccessLogConfiguration, hidesLocalAddress: Bool) -> JSON {
        switch log.format {
        case .text(var text):
            if hidesLocalAddress { text = text.replacing("%UPSTREAM_LOCAL_ADDRESS%", with: "-") }
            return .string(text.hasSuffix("\n") ? text : text + "\n")
        case .json(let members): return .object(members.mapValues(JSON.string))
        }
    }

    /// The expression on one line and with nothing that ends the operator before its end.
    private static func inOneOperator(_ expression: String) -> String {
        expression.split(whereSeparator: \.isNewline).joined(separator: " ").replacing(")%", with: ") %")
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
    static func escaped(_ format: String) throws(EnvoyRenderingError) -> String {
        var result = ""
        for piece in AccessLogPiece.pieces(of: format) {
            switch piece {
            case .literal(let text): result += literal(text)
            case .command(let name, let argument, let maxLength):
                guard AccessLogOperators.all.contains(name) else {
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
}
