/// Envoy: `config.route.v3.RouteConfiguration`.
package struct RouteConfiguration: Codable, Equatable, Sendable {
    package var name: String
    package var virtualHosts: [VirtualHost]
    /// Envoy's `ignore_port_in_host_matching`.
    package var ignoresPortInHost: Bool

    package init(name: String, virtualHosts: [VirtualHost], ignoresPortInHost: Bool = true) {
        self.name = name
        self.virtualHosts = virtualHosts
        self.ignoresPortInHost = ignoresPortInHost
    }
}

/// Envoy: `config.route.v3.VirtualHost`. Domains: exact, then longest `*suffix`, then longest `prefix*`, then `*`.
package struct VirtualHost: Codable, Equatable, Sendable {
    package var name: String
    package var domains: [String]
    package var routes: [Route]
    /// Envoy's `include_request_attempt_count`.
    package var includesAttemptCount: Bool
    package var origin: ConfigurationOrigin?

    package init(
        name: String, domains: [String], routes: [Route], includesAttemptCount: Bool = true,
        origin: ConfigurationOrigin? = nil
    ) {
        self.name = name
        self.domains = domains
        self.routes = routes
        self.includesAttemptCount = includesAttemptCount
        self.origin = origin
    }
}

/// Envoy: `config.route.v3.Route`.
package struct Route: Codable, Equatable, Sendable {
    /// What the access log prints as ROUTE_NAME; nil prints `-`.
    package var name: String?
    package var match: RouteMatch
    package var action: RouteAction
    /// The operation of Envoy's decorator: `httpbin.org:80/*`.
    package var decorator: String?
    package var headers: HeaderMutations?
    package var fault: HTTPFault?
    package var cors: CorsPolicy?
    package var origin: ConfigurationOrigin?

    package init(
        name: String? = nil, match: RouteMatch = RouteMatch(), action: RouteAction, decorator: String? = nil,
        headers: HeaderMutations? = nil, fault: HTTPFault? = nil, cors: CorsPolicy? = nil,
        origin: ConfigurationOrigin? = nil
    ) {
        self.name = name
        self.match = match
        self.action = action
        self.decorator = decorator
        self.headers = headers
        self.fault = fault
        self.cors = cors
        self.origin = origin
    }
}

/// How a string is compared; `regex` must match the whole of it (RE2).
package enum StringMatch: Codable, Hashable, Sendable {
    case exact(String)
    case prefix(String)
    case suffix(String)
    case regex(String)
    case present

    package init(from decoder: any Decoder) throws {
        let decoded = try DecodedCase(from: decoder)
        switch decoded.name {
        case "exact": self = .exact(try decoded.value())
        case "prefix": self = .prefix(try decoded.value())
        case "suffix": self = .suffix(try decoded.value())
        case "regex": self = .regex(try decoded.value())
        case "present": self = .present
        default: throw decoded.unknown
        }
    }

    package func encode(to encoder: any Encoder) throws {
        switch self {
        case .exact(let text): try encoder.encodeCase("exact", text)
        case .prefix(let text): try encoder.encodeCase("prefix", text)
        case .suffix(let text): try encoder.encodeCase("suffix", text)
        case .regex(let text): try encoder.encodeCase("regex", text)
        case .present: _ = encoder.encodeCase("present")
        }
    }
}

/// Envoy: `config.route.v3.RouteMatch`. All given criteria must hold.
package struct RouteMatch: Codable, Equatable, Sendable {
    package struct Field: Codable, Equatable, Sendable {
        /// A header, or `:method`, `:scheme`, `:authority`; or a query parameter.
        package var name: String
        package var match: StringMatch
        package var inverted: Bool

        package init(name: String, match: StringMatch, inverted: Bool = false) {
            self.name = name
            self.match = match
            self.inverted = inverted
        }
    }

    /// nil matches every path.
    package var path: StringMatch?
    package var ignoresCase: Bool
    package var headers: [Field]
    package var queryParameters: [Field]

    package init(
        path: StringMatch? = nil, ignoresCase: Bool = false, headers: [Field] = [], queryParameters: [Field] = []
    ) {
        self.path = path
        self.ignoresCase = ignoresCase
        self.headers = headers
        self.queryParameters = queryParameters
    }
}

package enum RouteAction: Codable, Equatable, Sendable {
    case forward(ForwardAction)
    /// An answer of the proxy's own (502 of `block_all`).
    case directResponse(status: Int, body: String)
    /// An answer that sends the client elsewhere.
    case redirect(RedirectAction)

    package init(from decoder: any Decoder) throws {
        let decoded = try DecodedCase(from: decoder)
        switch decoded.name {
        case "forward": self = .forward(try decoded.value())
        case "directResponse":
            self = .directResponse(status: try decoded.value(Self.status), body: try decoded.value(Self.body))
        case "redirect": self = .redirect(try decoded.value())
        default: throw decoded.unknown
        }
    }

    package func encode(to encoder: any Encoder) throws {
        switch self {
        case .forward(let action): try encoder.encodeCase("forward", action)
        case .directResponse(let status, let body):
            var values = encoder.encodeCase("directResponse")
            try values.encode(status, forKey: Self.status)
            try values.encode(body, forKey: Self.body)
        case .redirect(let action): try encoder.encodeCase("redirect", action)
        }
    }

    private static let status = CaseKey(stringValue: "status")
    private static let body = CaseKey(stringValue: "body")
}

/// Envoy: `config.route.v3.RouteAction`.
package struct ForwardAction: Codable, Equatable, Sendable {
    package var clusters: [WeightedCluster]
    /// 0: none. Covers all retries.
    package var timeoutMs: Int
    package var retries: RetryPolicy?
    /// The authority that the upstream gets (Envoy: `host_rewrite_literal`); wins over that of a weighted cluster.
    package var hostRewrite: String?
    package var pathRewrite: PathRewrite?
    package var requestMirrorPolicies: [RequestMirrorPolicy]?
    /// What chooses the host, in clusters that hash; nil: chance.
    package var hashPolicies: [HashPolicy]?

    package init(
        clusters: [WeightedCluster], timeoutMs: Int = 0, retries: RetryPolicy? = nil, hostRewrite: String? = nil,
        pathRewrite: PathRewrite? = nil, requestMirrorPolicies: [RequestMirrorPolicy]? = nil,
        hashPolicies: [HashPolicy]? = nil
    ) {
        self.clusters = clusters
        self.timeoutMs = timeoutMs
        self.retries = retries
        self.hostRewrite = hostRewrite
        self.pathRewrite = pathRewrite
        self.requestMirrorPolicies = requestMirrorPolicies
        self.hashPolicies = hashPolicies
    }
}

package struct WeightedCluster: Codable, Equatable, Sendable {
    package var name: String
    package var weight: Int
    /// Of HTTP routes that choose among several clusters only.
    package var headers: HeaderMutations?
    /// Likewise.
    package var hostRewrite: String?

    package init(
        name: String, weight: Int = 1, headers: HeaderMutations? = nil, hostRewrite: String? = nil
    ) {
        self.name = name
        self.weight = weight
        self.headers = headers
        self.hostRewrite = hostRewrite
    }
}

/// Envoy: `config.route.v3.RetryPolicy`.
package struct RetryPolicy: Codable, Equatable, Sendable {
    /// Envoy's conditions: `connect-failure`, `refused-stream`, `unavailable`, `cancelled`, `retriable-status-codes`,
    /// `5xx`, `gateway-error`, `reset`, ….
    package var retryOn: [String]
    package var numRetries: Int
    /// 0: the route's timeout alone.
    package var perTryTimeoutMs: Int
    package var retriableStatusCodes: [Int]
    package var baseIntervalMs: Int
    /// Whether hosts that failed the request are tried last (Envoy: `previous_hosts`); nil is yes.
    package var avoidsPreviousHosts: Bool?

    package init(
        retryOn: [String], numRetries: Int, perTryTimeoutMs: Int = 0, retriableStatusCodes: [Int] = [],
        baseIntervalMs: Int = 25, avoidsPreviousHosts: Bool? = nil
    ) {
        self.retryOn = retryOn
        self.numRetries = numRetries
        self.perTryTimeoutMs = perTryTimeoutMs
        self.retriableStatusCodes = retriableStatusCodes
        self.baseIntervalMs = baseIntervalMs
        self.avoidsPreviousHosts = avoidsPreviousHosts
    }
}
