package import NIOCore
package import NetworkAddresses

/// What a name resolved to.
package struct HostResolution: Sendable, Equatable {
    package var addresses: [IPAddress]
    /// The shortest time to live of the answer's records; nil when it gives none.
    package var ttlSeconds: Int?

    package init(addresses: [IPAddress], ttlSeconds: Int? = nil) {
        self.addresses = addresses
        self.ttlSeconds = ttlSeconds
    }
}

/// Why a name gave no address.
package protocol HostResolutionFailure: Error {
    /// In Envoy's words, with underscores: `cares_norecords:Domain_name_not_found`.
    var details: String { get }
}

/// Resolves the endpoints' names of STRICT_DNS and LOGICAL_DNS clusters.
package protocol HostResolver: Sendable {
    /// Asks for the addresses of `host`; the future fails when there is no answer or a negative one.
    func resolve(_ host: String, families: [IPFamily], on loop: any EventLoop) -> EventLoopFuture<HostResolution>
}
