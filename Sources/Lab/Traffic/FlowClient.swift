package import NIOCore
package import NIOSSL
package import NetworkAddresses
package import Proxy

/// How a client finds addresses: its pod's `resolv.conf` and `hosts`.
package struct ClientResolverConfiguration: Sendable {
    package var nameservers: [IPEndpoint]
    package var searchDomains: [String]
    package var ndots: Int
    /// Names that are not asked for, in lower case.
    package var hosts: [String: [IPAddress]]

    package init(
        nameservers: [IPEndpoint] = [], searchDomains: [String] = [], ndots: Int = 5, hosts: [String: [IPAddress]] = [:]
    ) {
        self.nameservers = nameservers
        self.searchDomains = searchDomains
        self.ndots = ndots
        self.hosts = hosts
    }
}

/// From where a client works: namespace and owner, resolver, and the addresses that its packets leave from.
package struct ClientSite: Sendable {
    package var context: any NetworkContext
    package var resolver: ClientResolverConfiguration
    /// The pod's own addresses; a TCP socket is bound to the one of its family, so that its tuple is known beforehand.
    package var sourceAddresses: [IPAddress]

    package init(
        context: any NetworkContext, resolver: ClientResolverConfiguration = ClientResolverConfiguration(),
        sourceAddresses: [IPAddress] = []
    ) {
        self.context = context
        self.resolver = resolver
        self.sourceAddresses = sourceAddresses
    }
}

/// Carries out exchanges as the lab's applications: one value serves all clients of a lab.
package struct FlowClient: Sendable {
    private let tls: ClientTLS
    /// Whoever asks for himself takes his ports here, too.
    let ports = SourcePorts()

    /// Clients that trust `root` alone.
    package init(trusting root: NIOSSLCertificate) throws { tls = try ClientTLS(trusting: root) }

    /// Starts an exchange on `loop`; `onEvent` is called there, in order.
    ///
    /// With `hold` a connection stays open after the exchange until `close()`.
    package func run(
        _ request: ClientRequest, at site: ClientSite, on loop: any EventLoop, hold: Bool = false,
        onEvent: @escaping @Sendable (ClientEvent) -> Void = { _ in }
    ) -> ClientExchange {
        let exchange = ClientExchange(
            request, site: site, tls: tls, ports: ports, loop: loop, hold: hold, onEvent: onEvent)
        if loop.inEventLoop {
            exchange.start()
        } else {
            loop.execute { exchange.start() }
        }
        return exchange
    }
}
