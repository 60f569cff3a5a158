package import NetworkAddresses

/// What an SNI forward proxy does: where it listens, and how it finds what a ClientHello names.
package struct SNIProxyConfiguration: Codable, Equatable, Sendable {
    package var listen: [IPEndpoint]
    /// The port to connect to at whatever the name resolves to.
    package var port: UInt16
    /// Asked instead of those in the pod's `resolv.conf`.
    package var nameservers: [IPEndpoint]
    package var families: [IPFamily]
    /// How many clients are served at once; further ones are closed.
    package var maximumConnections: Int

    package init(
        listen: [IPEndpoint], port: UInt16 = 443, nameservers: [IPEndpoint], families: [IPFamily] = [.ipv4],
        maximumConnections: Int = 1024
    ) {
        self.listen = listen
        self.port = port
        self.nameservers = nameservers
        self.families = families
        self.maximumConnections = maximumConnections
    }
}
