package import DNS
package import Manifests
internal import NIOConcurrencyHelpers
package import NIOCore
package import NetworkAddresses
package import Proxy

/// The world outside the cluster: answers on every address and port, declared hosts as declared.
///
/// TCP comes to one listener, to which nftables redirects every connection, and UDP to one echo server.
package final class InternetServer: Sendable {
    private let directory: NIOLockedValueBox<InternetDirectory>
    private let zone: ZoneResponder
    private let listener: any Channel
    private let echoes: [DatagramService]
    private let dns: DNSServer
    private let associations = NIOLockedValueBox<SCTPResponder?>(nil)

    /// Where TCP, UDP and DNS are bound.
    package var tcpPort: UInt16 { listener.localAddress?.ipEndpoint?.port ?? 0 }
    package var udpPort: UInt16 { echoes.first?.endpoint.port ?? 0 }
    package var dnsPort: UInt16 { dns.endpoints.first?.port ?? 0 }

    /// Binds the ports in `context`, the internet's namespace; `sink` is called on `loop`.
    ///
    /// Not to be called on an event loop: it waits for the sockets.
    package init(
        hosts: [InternetHost], records: [String: [IPAddress]], authority: LabCertificateAuthority,
        in context: any NetworkContext, on loop: any EventLoop, tcpPort: UInt16, udpPort: UInt16,
        dnsPort: UInt16 = 53, onQuery: @escaping @Sendable (DNSServer.Query) -> Void = { _ in },
        sink: @escaping @Sendable (Arrival) -> Void
    ) throws {
        let directory = NIOLockedValueBox(InternetDirectory(hosts))
        let zone = ZoneResponder(records: records)
        self.directory = directory
        self.zone = zone
        let echo: @Sendable (FiveTuple, ByteBuffer) -> [UInt8]? = { tuple, bytes in
            sink(Arrival(.accepted, at: .internet, tuple))
            return Array(bytes.readableBytesView)
        }
        let wildcards: [IPAddress] = [.anyIPv4, .anyIPv6]
        echoes = try wildcards.map { address in
            try DatagramService(at: IPEndpoint(address, udpPort), in: context, on: loop, reply: echo)
        }
        dns = try DNSServer(addresses: wildcards, port: dnsPort, in: context, on: loop, responder: zone) { query in
            onQuery(query)
            sink(Arrival(.accepted, at: .internet, query.tuple))
        }
        listener = try ServerListener.open(
            at: IPEndpoint(.anyIPv6, tcpPort), in: context, on: loop,
            ServerListener.Configuration(
                site: .internet, authority: authority, isRedirected: true,
                port: { endpoint in directory.withLockedValue { $0 }.port(at: endpoint) }, sink: sink))
    }

    /// Answers SCTP, too, at every address.
    func answerSCTP(
        in context: any NetworkContext, on loop: any EventLoop, sink: @escaping @Sendable (Arrival) -> Void
    ) throws {
        let responder = try SCTPResponder(families: IPFamily.allCases, in: context, on: loop) { tuple in
            sink(Arrival(.accepted, at: .internet, tuple))
        }
        associations.withLockedValue { $0 = responder }
    }

    /// Puts other hosts and names in force; connections that exist live on.
    package func update(hosts: [InternetHost], records: [String: [IPAddress]]) {
        let new = InternetDirectory(hosts)
        directory.withLockedValue { $0 = new }
        zone.update(DNSZone(records: records))
    }

    /// Closes the sockets; connections end with their clients.
    package func close() {
        listener.close(promise: nil)
        echoes.forEach { $0.close() }
        dns.close()
        associations.withLockedValue { $0?.close() }
    }
}
