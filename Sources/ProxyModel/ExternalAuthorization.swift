/// Envoy: `extensions.filters.http.ext_authz.v3.ExtAuthz` with an HTTP service.
///
/// It asks only about requests for which the RBAC filter before it named a shadow policy of `policyPrefix`.
package struct ExternalAuthorization: Codable, Equatable, Sendable {
    package var cluster: String
    /// Of the server's URI: nothing but a name for it.
    package var serverName: String
    package var timeoutMs: Int
    /// Stands before the request's own path.
    package var pathPrefix: String
    /// Requests pass when the authorizer can't be asked.
    package var failureModeAllow: Bool
    package var statusOnError: Int
    /// The request's headers that the authorizer gets besides host and `authorization`.
    package var allowedHeaders: [StringMatch]
    package var headersToAdd: [HeaderValue]
    /// The authorizer's headers that go on with an allowed request.
    package var allowedUpstreamHeaders: [StringMatch]
    /// The authorizer's headers that a refused client gets; empty: all.
    package var allowedClientHeaders: [StringMatch]
    /// The authorizer's headers that the client gets with the response to an allowed request.
    package var allowedClientHeadersOnSuccess: [StringMatch]
    package var policyPrefix: String
    package var origin: ConfigurationOrigin?

    package init(
        cluster: String, serverName: String, timeoutMs: Int, pathPrefix: String = "", failureModeAllow: Bool = false,
        statusOnError: Int = 403, allowedHeaders: [StringMatch] = [], headersToAdd: [HeaderValue] = [],
        allowedUpstreamHeaders: [StringMatch] = [], allowedClientHeaders: [StringMatch] = [],
        allowedClientHeadersOnSuccess: [StringMatch] = [], policyPrefix: String, origin: ConfigurationOrigin? = nil
    ) {
        self.cluster = cluster
        self.serverName = serverName
        self.timeoutMs = timeoutMs
        self.pathPrefix = pathPrefix
        self.failureModeAllow = failureModeAllow
        self.statusOnError = statusOnError
        self.allowedHeaders = allowedHeaders
        self.headersToAdd = headersToAdd
        self.allowedUpstreamHeaders = allowedUpstreamHeaders
        self.allowedClientHeaders = allowedClientHeaders
        self.allowedClientHeadersOnSuccess = allowedClientHeadersOnSuccess
        self.policyPrefix = policyPrefix
        self.origin = origin
    }
}

/// What an HTTP connection manager does to paths before anything looks at them: Istio's `pathNormalization`.
package enum PathNormalizationMode: String, Codable, Sendable, CaseIterable {
    case none = "NONE"
    /// `.` and `..` are resolved, escapes of plain characters undone.
    case base = "BASE"
    /// And several slashes are one.
    case mergeSlashes = "MERGE_SLASHES"
    /// And escaped slashes are slashes.
    case decodeAndMergeSlashes = "DECODE_AND_MERGE_SLASHES"
}
