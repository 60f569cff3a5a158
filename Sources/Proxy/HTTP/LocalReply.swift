import ProxyModel

/// An answer that the proxy gives itself, and how the access log explains it.
struct LocalReply: Equatable, Error {
    var status: Int
    var body = ""
    var flags: [String] = []
    var details: String
    /// Whether the connection can't be used any more.
    var closes = false
    /// What clients that speak gRPC are told; nil: what the status comes to.
    var grpcStatus: Int?
    /// The proxy has no room for the request.
    var isOverloaded = false
    /// `location`.
    var location: String?
    /// What else the head says.
    var fields = HTTPFields()

    static let routeNotFound = LocalReply(status: 404, flags: ["NR"], details: "route_not_found")
    static let clusterNotFound = LocalReply(status: 503, flags: ["NC"], details: "cluster_not_found")
    static let noHealthyUpstream = LocalReply(
        status: 503, body: "no healthy upstream", flags: ["UH"], details: "no_healthy_upstream")
    /// The details are those of the resolution, which went well.
    static let resolvedUnhealthy = LocalReply(
        status: 503, body: "no healthy upstream", flags: ["UH"], details: "cares_success:Successful_completion")
    static func resolutionFailed(_ reason: String?) -> LocalReply {
        LocalReply(
            status: 503, body: "DNS resolution failure", flags: ["DF"],
            details: "dns_resolution_failure" + (reason.map { "{\($0)}" } ?? ""))
    }
    static let missingHost = LocalReply(status: 400, details: "missing_host_header", closes: true)
    static let absolutePathRejected = LocalReply(status: 404, details: "absolute_path_rejected")
    static let pathNormalizationFailed = LocalReply(status: 400, details: "path_normalization_failed", closes: true)
    static func accessDenied(_ details: String) -> LocalReply {
        LocalReply(status: 403, body: "RBAC: access denied", details: details)
    }
    static let upgradeFailed = LocalReply(status: 403, details: "upgrade_failed", closes: true)
    static let connectRefused = LocalReply(status: 404, flags: ["NR"], details: "route_not_found", closes: true)

    static func direct(status: Int, body: String, to request: HTTPRequestHead) -> LocalReply {
        LocalReply(
            status: status, body: body, details: "direct_response",
            location: RedirectLocation.isTold(status: status) ? RedirectLocation.url(nil, for: request) : nil)
    }

    static func redirect(_ action: RedirectAction, for request: HTTPRequestHead) -> LocalReply {
        LocalReply(
            status: action.responseCode, details: "direct_response",
            location: RedirectLocation.url(action, for: request))
    }

    static func timeout(details: String, retriesExceeded: Bool = false) -> LocalReply {
        LocalReply(
            status: 504, body: "upstream request timeout", flags: retriesExceeded ? ["URX", "UT"] : ["UT"],
            details: details)
    }

    static func maximumDuration(isRequestComplete: Bool) -> LocalReply {
        LocalReply(
            status: isRequestComplete ? 504 : 408, body: "downstream duration timeout",
            details: "max_duration_timeout", grpcStatus: 4)
    }

    // MARK: What the codec refuses

    static let lowVersion = refused(426, "Upgrade Required", "low_version")
    static let invalidAuthority = badRequest(details: "http.invalid_authority")
    static let httpsOnPlaintext = refused(403, "Forbidden", "http1.https_url_on_plaintext_connection")

    static func badRequest(details: String) -> LocalReply { refused(400, "Bad Request", details) }

    static func protocolError(_ error: HTTP1ParseError) -> LocalReply {
        switch error {
        case .codec: badRequest(details: "http1.codec_error")
        case .invalidCharacters: badRequest(details: "http1.invalid_characters")
        case .lengthAndChunked: badRequest(details: "http1.content_length_and_chunked_not_allowed")
        case .headersTooLarge: refused(431, "Request Header Fields Too Large", "http1.headers_too_large")
        case .tooManyHeaders: refused(431, "Request Header Fields Too Large", "http1.too_many_headers")
        case .invalidTransferEncoding: refused(501, "Not Implemented", "http1.invalid_transfer_encoding")
        }
    }

    private static func refused(_ status: Int, _ reason: String, _ details: String) -> LocalReply {
        LocalReply(status: status, body: reason, flags: ["DPE"], details: details, closes: true)
    }
}

/// Why an attempt gave no response, in Envoy's words.
enum UpstreamReset: Equatable {
    /// The reason is missing for a timeout's failure.
    case connectFailure(reason: String?)
    case connectTimeout
    case connectionTermination
    case protocolError
    /// A reset of the stream by an HTTP/2 upstream.
    case remoteReset
    /// A stream that an HTTP/2 upstream did not take: safe to send again.
    case refusedStream
    /// A limit of the cluster leaves no room for the request.
    case overflow

    private var text: String {
        switch self {
        case .connectFailure: "remote connection failure"
        case .connectTimeout: "connection timeout"
        case .connectionTermination: "connection termination"
        case .protocolError: "protocol error"
        case .remoteReset: "remote reset"
        case .refusedStream: "remote refused stream reset"
        case .overflow: "overflow"
        }
    }

    var flag: String {
        switch self {
        case .connectFailure, .connectTimeout: "UF"
        case .connectionTermination: "UC"
        case .protocolError: "UPE"
        case .remoteReset, .refusedStream: "UR"
        case .overflow: "UO"
        }
    }

    var transportFailureReason: String? { if case .connectFailure(let reason) = self { reason } else { nil } }

    var outcome: AttemptOutcome {
        switch self {
        case .connectFailure, .connectTimeout: .connectFailure
        case .connectionTermination, .protocolError, .remoteReset: .reset
        case .refusedStream: .refusedStream
        case .overflow: .overflow
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
            details: details("upstream_reset_before_response_started"), isOverloaded: self == .overflow)
    }
}
