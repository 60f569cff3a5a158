import NIOHTTP1

/// An answer that the proxy gives itself, and how the access log explains it.
struct LocalReply: Equatable, Error {
    var status: Int
    var body = ""
    var flags: [String] = []
    var details: String
    /// Whether the connection can't be used any more.
    var closes = false

    static let routeNotFound = LocalReply(status: 404, flags: ["NR"], details: "route_not_found")
    static let clusterNotFound = LocalReply(status: 503, flags: ["NC"], details: "cluster_not_found")
    static let noHealthyUpstream = LocalReply(
        status: 503, body: "no healthy upstream", flags: ["UH"], details: "no_healthy_upstream")
    static let lowVersion = LocalReply(status: 426, details: "low_version", closes: true)
    static let missingHost = LocalReply(status: 400, details: "missing_host_header", closes: true)
    static let invalidAuthority = LocalReply(status: 400, details: "http.invalid_authority", closes: true)
    static let connectRefused = LocalReply(status: 404, flags: ["NR"], details: "route_not_found", closes: true)

    static func direct(status: Int, body: String) -> LocalReply {
        LocalReply(status: status, body: body, details: "direct_response")
    }

    static func timeout(details: String, retriesExceeded: Bool = false) -> LocalReply {
        LocalReply(
            status: 504, body: "upstream request timeout", flags: retriesExceeded ? ["URX", "UT"] : ["UT"],
            details: details)
    }

    /// The answer to bytes that are not HTTP, or not HTTP that is safe to pass on.
    static func protocolError(_ error: any Error) -> LocalReply {
        if case .headerOverflow? = error as? HTTPParserError {
            return LocalReply(
                status: 431, body: "Request Header Fields Too Large", flags: ["DPE"],
                details: "http1.headers_too_large", closes: true)
        }
        return badRequest(details: "http1.codec_error")
    }

    static func badRequest(details: String) -> LocalReply {
        LocalReply(status: 400, body: "Bad Request", flags: ["DPE"], details: details, closes: true)
    }

    static let invalidTransferEncoding = LocalReply(
        status: 501, body: "Not Implemented", flags: ["DPE"], details: "http1.invalid_transfer_encoding", closes: true)
}

/// Why an attempt gave no response, in Envoy's words.
enum UpstreamReset: Equatable {
    /// The reason is missing for a timeout's failure.
    case connectFailure(reason: String?)
    case connectTimeout
    case connectionTermination
    case protocolError

    private var text: String {
        switch self {
        case .connectFailure: "remote connection failure"
        case .connectTimeout: "connection timeout"
        case .connectionTermination: "connection termination"
        case .protocolError: "protocol error"
        }
    }

    var flag: String {
        switch self {
        case .connectFailure, .connectTimeout: "UF"
        case .connectionTermination: "UC"
        case .protocolError: "UPE"
        }
    }

    var transportFailureReason: String? { if case .connectFailure(let reason) = self { reason } else { nil } }

    var outcome: AttemptOutcome {
        switch self {
        case .connectFailure, .connectTimeout: .connectFailure
        case .connectionTermination, .protocolError: .reset
        }
    }

    /// `{remote_connection_failure|delayed_connect_error:_Connection_refused}`
    func details(_ prefix: String) -> String {
        let reason = transportFailureReason.map { "|" + $0 } ?? ""
        return "\(prefix){\(text.replacingBlanks())\(reason)}"
    }

    func reply(retried: Bool, retriesExceeded: Bool) -> LocalReply {
        LocalReply(
            status: self == .protocolError ? 502 : 503,
            body: "upstream connect error or disconnect/reset before headers. "
                + (retried ? "retried and the latest " : "") + "reset reason: \(text)",
            flags: retriesExceeded ? ["URX", flag] : [flag],
            details: details("upstream_reset_before_response_started"))
    }
}
