package import NetworkAddresses

/// One line of a proxy's access log, structured: the same from every data plane.
///
/// Field names are Envoy's command operators; nil is what a text log prints as `-`.
package struct AccessLogRecord: Codable, Equatable, Sendable {
    /// HTTP: one record per request. TCP: one per connection.
    package enum Kind: String, Codable, Sendable { case http, tcp }

    package var kind: Kind
    /// Unique per proxy: numbers the HTTP request or TCP connection.
    package var streamID: UInt64
    /// Seconds since 1970.
    package var startTime: Double
    package var method: String?
    package var path: String?
    package var `protocol`: String?
    package var responseCode = 0
    /// `UH`, `UF`, `URX`, … in Envoy's order; empty prints `-`.
    package var responseFlags: [String] = []
    package var responseCodeDetails: String?
    package var connectionTerminationDetails: String?
    package var upstreamTransportFailureReason: String?
    package var bytesReceived: UInt64 = 0
    package var bytesSent: UInt64 = 0
    package var durationMs: UInt64 = 0
    package var upstreamServiceTimeMs: UInt64?
    package var xForwardedFor: String?
    package var userAgent: String?
    package var requestID: String?
    package var authority: String?
    package var upstreamHost: IPEndpoint?
    package var upstreamCluster: String?
    package var upstreamLocalAddress: IPEndpoint?
    package var downstreamLocalAddress: IPEndpoint?
    package var downstreamRemoteAddress: IPEndpoint?
    package var requestedServerName: String?
    package var routeName: String?
    package var filterChainName: String?
    /// `TLSv1.2`, `TLSv1.3`; nil without TLS of the proxy's own.
    package var downstreamTLSVersion: String?
    package var downstreamPeerURISAN: String?
    package var downstreamPeerSubject: String?
    package var downstreamLocalURISAN: String?
    package var downstreamTransportFailureReason: String?
    /// True where the client's TLS did not come about, of which no access log tells; nil is no.
    package var endedInHandshake: Bool?
    package var upstreamTLSVersion: String?
    package var upstreamPeerURISAN: String?
    package var upstreamProtocol: String?
    /// How often an upstream was asked.
    package var upstreamAttempts: Int?
    /// From the beginning to the request's last byte, and to the response's first.
    package var requestDurationMs: UInt64?
    package var responseDurationMs: UInt64?
    /// Header fields that the log's format or filter asks for, by names in lower case.
    package var requestHeaders: [String: String]?
    package var responseHeaders: [String: String]?
    package var responseTrailers: [String: String]?
    /// The manifest line that decided: of the route, else of the chain, else of the cluster.
    package var origin: ConfigurationOrigin?

    package init(kind: Kind, streamID: UInt64, startTime: Double) {
        self.kind = kind
        self.streamID = streamID
        self.startTime = startTime
    }
}

/// What a proxy reports while it works; the order of one stream's events is the order in which they happened.
package enum ProxyEvent: Sendable {
    /// A connection was accepted: from the peer's address to its original destination.
    case accepted(connection: UInt64, from: IPEndpoint, originalDestination: IPEndpoint)
    /// An upstream connection attempt began, on behalf of the downstream connection. `local` is nil only if the socket
    /// could not be bound; `request` is the `x-request-id` that it was made for, `isReused` true when it comes from a
    /// pool.
    case connecting(
        connection: UInt64, local: IPEndpoint?, to: IPEndpoint, cluster: String, request: String?, isReused: Bool)
    /// A TCP connection lives on: what is known of it up to now.
    case progress(AccessLogRecord)
    /// A request or connection ended; its line is in the log.
    case record(connection: UInt64, AccessLogRecord)
    /// A downstream connection is gone and all its records are written.
    case closed(connection: UInt64)
}

/// How metrics of what lives on are brought up to date (Istio: `tcp_reporting_duration` of `istio.stats`).
package enum ProgressReporting {
    package static let intervalMs = 5000
}
