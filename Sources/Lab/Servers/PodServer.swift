internal import DNS
package import Manifests
internal import NIOConcurrencyHelpers
package import NIOCore
internal import NetworkAddresses
package import Proxy

/// A workload's own servers: each port sends back what it gets, answers HTTP as httpbin, and terminates TLS.
package final class PodServer: Sendable {
    private struct Sockets {
        var listeners: [UInt16: any Channel] = [:]
        var datagrams: [UInt16: [DatagramService]] = [:]
        var associations: SCTPResponder?
    }

    private let context: any NetworkContext
    private let loop: any EventLoop
    private let addresses: [IPAddress]
    private let configuration: ServerListener.Configuration
    private let site: Arrival.Site
    private let sink: @Sendable (Arrival) -> Void
    private let sockets = NIOLockedValueBox(Sockets())

    /// A server for `pod` (`namespace/name`) without any port yet; `app` answers HTTP, `sink` is called on `loop`.
    package init(
        pod: String, hasIPv6: Bool, authority: LabCertificateAuthority, in context: any NetworkContext,
        on loop: any EventLoop, app: InternetHost.App = .httpbin, sink: @escaping @Sendable (Arrival) -> Void
    ) {
        self.context = context
        self.loop = loop
        self.sink = sink
        site = .pod(pod)
        addresses = hasIPv6 ? [.anyIPv4, .anyIPv6] : [.anyIPv4]
        configuration = ServerListener.Configuration(
            site: .pod(pod), authority: authority,
            port: { endpoint in
                ServedPort(
                    kind: nil, app: { _ in app }, certificateName: { $0 ?? endpoint.address.description })
            }, sink: sink)
    }

    /// Listens on these ports too; ports that are open already stay as they are.
    ///
    /// Not to be called on an event loop: it waits for the sockets. A port that can't be bound is thrown, the ports
    /// before it stay open.
    /// With `sctp` it answers SCTP, on every port.
    package func open(tcp: [UInt16] = [], udp: [UInt16] = [], sctp: Bool = false) throws {
        try sockets.withLockedValue { sockets in
            if sctp, sockets.associations == nil {
                sockets.associations = try SCTPResponder(
                    families: addresses.map(\.family), in: context, on: loop
                ) { [sink, site] tuple in sink(Arrival(.accepted, at: site, tuple)) }
            }
            for port in tcp where sockets.listeners[port] == nil {
                sockets.listeners[port] = try ServerListener.open(
                    at: IPEndpoint(addresses.last ?? .anyIPv4, port), in: context, on: loop, configuration)
            }
            for port in udp where sockets.datagrams[port] == nil {
                sockets.datagrams[port] = try addresses.map { address in
                    try DatagramService(at: IPEndpoint(address, port), in: context, on: loop) {
                        [sink, site] tuple, bytes in
                        sink(Arrival(.accepted, at: site, tuple))
                        return Array(bytes.readableBytesView)
                    }
                }
            }
        }
    }

    /// Leaves the ports of a matrix to others until they are opened again; connections that exist live on.
    ///
    /// Not to be called on an event loop: it waits until the sockets are closed.
    func suspend(_ probes: [MatrixProbe]) {
        let closing = sockets.withLockedValue { sockets in
            if probes.contains(where: { $0.transport == .sctp }) {
                sockets.associations?.close()
                sockets.associations = nil
            }
            return probes.flatMap { probe -> [EventLoopFuture<Void>] in
                switch probe.transport {
                case .tcp: [sockets.listeners.removeValue(forKey: probe.port)?.close()].compactMap(\.self)
                case .udp: (sockets.datagrams.removeValue(forKey: probe.port) ?? []).map { $0.close() }
                default: []
                }
            }
        }
        for future in closing { try? future.wait() }
    }

    /// The ports that TCP listeners have.
    package var tcpPorts: [UInt16] {
        sockets.withLockedValue { $0.listeners.values.compactMap { $0.localAddress?.ipEndpoint?.port } }
    }

    /// Closes the sockets; connections end with their clients.
    package func close() {
        sockets.withLockedValue { sockets in
            sockets.listeners.values.forEach { $0.close(promise: nil) }
            sockets.datagrams.values.joined().forEach { $0.close() }
            sockets.associations?.close()
            sockets = Sockets()
        }
    }
}
