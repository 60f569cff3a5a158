package import NetworkAddresses

/// What a server in the lab received. Reported at acceptance, and again when more is known.
package struct Arrival: Sendable {
    package enum Stage: String, Sendable {
        /// A connection was accepted, or a datagram received.
        case accepted
        /// A ClientHello was read.
        case clientHello
        /// An HTTP request was read whole.
        case request
        /// Bytes that are neither were read.
        case data
        case closed
    }

    package enum Site: Sendable, Hashable {
        case internet
        /// `namespace/pod`.
        case pod(String)
    }

    package var stage: Stage
    package var site: Site
    /// From the peer to the address that it dialled (before the lab's own redirection inside `internet`).
    package var tuple: FiveTuple
    package var serverName: String?
    package var host: String?
    package var method: String?
    package var path: String?
    package var headers: [(name: String, value: String)]

    package init(
        _ stage: Stage, at site: Site, _ tuple: FiveTuple, serverName: String? = nil, host: String? = nil,
        method: String? = nil, path: String? = nil, headers: [(name: String, value: String)] = []
    ) {
        self.stage = stage
        self.site = site
        self.tuple = tuple
        self.serverName = serverName
        self.host = host
        self.method = method
        self.path = path
        self.headers = headers
    }
}
