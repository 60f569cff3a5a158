/// Envoy: `config.core.v3.HeaderValueOption`.
package struct HeaderValueOption: Codable, Equatable, Sendable {
    package enum AppendAction: String, Codable, Sendable {
        /// Replaces every value that is there.
        case overwrite = "OVERWRITE_IF_EXISTS_OR_ADD"
        /// Joins the values that are there.
        case append = "APPEND_IF_EXISTS_OR_ADD"
    }

    package var name: String
    /// With command operators, as in access logs: `%DOWNSTREAM_REMOTE_ADDRESS%`, `%%`.
    package var value: String
    package var action: AppendAction

    package init(name: String, value: String, action: AppendAction = .overwrite) {
        self.name = name
        self.value = value
        self.action = action
    }
}

/// What a route or one of its clusters changes in header fields: Envoy's `request_headers_to_add` and its like.
package struct HeaderMutations: Codable, Equatable, Sendable {
    package var requestHeadersToAdd: [HeaderValueOption]
    package var requestHeadersToRemove: [String]
    package var responseHeadersToAdd: [HeaderValueOption]
    package var responseHeadersToRemove: [String]

    package init(
        requestHeadersToAdd: [HeaderValueOption] = [], requestHeadersToRemove: [String] = [],
        responseHeadersToAdd: [HeaderValueOption] = [], responseHeadersToRemove: [String] = []
    ) {
        self.requestHeadersToAdd = requestHeadersToAdd
        self.requestHeadersToRemove = requestHeadersToRemove
        self.responseHeadersToAdd = responseHeadersToAdd
        self.responseHeadersToRemove = responseHeadersToRemove
    }

    /// Whether nothing is changed.
    package var isEmpty: Bool { self == HeaderMutations() }
}

/// Envoy: `extensions.filters.http.cors.v3.CorsPolicy`: which pages of other origins may ask, and what they may see.
package struct CorsPolicy: Codable, Equatable, Sendable {
    package var allowOriginStringMatch: [StringMatch]
    /// Comma separated, as the rest; empty: not told.
    package var allowMethods: String
    package var allowHeaders: String
    package var exposeHeaders: String
    /// Seconds; empty: not told.
    package var maxAge: String
    package var allowCredentials: Bool
    /// Whether preflight requests of other origins go on to the destination.
    package var forwardNotMatchingPreflights: Bool

    package init(
        allowOriginStringMatch: [StringMatch] = [], allowMethods: String = "", allowHeaders: String = "",
        exposeHeaders: String = "", maxAge: String = "", allowCredentials: Bool = false,
        forwardNotMatchingPreflights: Bool = true
    ) {
        self.allowOriginStringMatch = allowOriginStringMatch
        self.allowMethods = allowMethods
        self.allowHeaders = allowHeaders
        self.exposeHeaders = exposeHeaders
        self.maxAge = maxAge
        self.allowCredentials = allowCredentials
        self.forwardNotMatchingPreflights = forwardNotMatchingPreflights
    }
}

/// Envoy: `config.route.v3.RedirectAction`; what is nil stays as the client asked.
package struct RedirectAction: Codable, Equatable, Sendable {
    /// 301, 302, 303, 307 or 308.
    package var responseCode: Int
    package var schemeRedirect: String?
    package var hostRedirect: String?
    package var portRedirect: UInt16?
    /// The request's query is kept, unless this has one of its own.
    package var pathRedirect: String?

    package init(
        responseCode: Int = 301, schemeRedirect: String? = nil, hostRedirect: String? = nil,
        portRedirect: UInt16? = nil, pathRedirect: String? = nil
    ) {
        self.responseCode = responseCode
        self.schemeRedirect = schemeRedirect
        self.hostRedirect = hostRedirect
        self.portRedirect = portRedirect
        self.pathRedirect = pathRedirect
    }
}

/// What a forwarding route makes of the path; the query stays as it is.
package enum PathRewrite: Codable, Equatable, Sendable {
    /// Envoy's `prefix_rewrite`: in place of what the route's match covered, the prefix or the whole path.
    case prefix(String)
    /// Envoy's `regex_rewrite`: every match of the expression (RE2) is replaced; `\1` is its first group.
    case regex(pattern: String, substitution: String)
}

/// Envoy: `RouteAction.RequestMirrorPolicy`. The copy's host gets `-shadow`, and its answer is not looked at.
package struct RequestMirrorPolicy: Codable, Equatable, Sendable {
    package var cluster: String
    /// How many of a million requests are copied.
    package var perMillion: Int

    package init(cluster: String, perMillion: Int = 1_000_000) {
        self.cluster = cluster
        self.perMillion = perMillion
    }
}

/// Envoy: `extensions.filters.http.fault.v3.HTTPFault`: what a route does to requests before it handles them.
package struct HTTPFault: Codable, Equatable, Sendable {
    package struct Delay: Codable, Equatable, Sendable {
        package var fixedDelayMs: Int
        /// How many of a million requests wait.
        package var perMillion: Int

        package init(fixedDelayMs: Int, perMillion: Int = 1_000_000) {
            self.fixedDelayMs = fixedDelayMs
            self.perMillion = perMillion
        }
    }

    package struct Abort: Codable, Equatable, Sendable {
        package enum Status: Codable, Equatable, Sendable {
            case http(Int)
            case grpc(Int)
        }

        package var status: Status
        /// How many of a million requests are answered so.
        package var perMillion: Int

        package init(status: Status, perMillion: Int = 1_000_000) {
            self.status = status
            self.perMillion = perMillion
        }
    }

    package var delay: Delay?
    /// Decided after the delay.
    package var abort: Abort?

    package init(delay: Delay? = nil, abort: Abort? = nil) {
        self.delay = delay
        self.abort = abort
    }
}
