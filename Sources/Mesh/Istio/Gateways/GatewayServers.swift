import Manifests
import NetworkAddresses

/// What a gateway pod has to listen for: the servers of all Gateways that select it, put together port by port
/// (gateway.md §1–2).
struct GatewayServers {
    /// One server of one Gateway.
    struct Server {
        var gateway: Gateway
        var server: Gateway.Server

        /// `namespace/name`.
        var gatewayName: String { "\(gateway.metadata.namespace)/\(gateway.metadata.name)" }
        var origin: Origin { gateway.origin(at: server.location) }
        var port: UInt16 { server.port.number }
        /// The modes that end the client's TLS here.
        var terminatesTLS: Bool { server.port.protocol.isTLS && (server.tls?.mode.value.terminates ?? false) }

        /// The hosts of `service` that the server serves: those that both mean, each in its narrower form.
        func hosts(of service: ScopedVirtualService) -> [String] {
            guard service.gateways.contains(gatewayName) else { return [] }
            let namespace = service.rule.metadata.namespace
            var result: [String] = []
            for host in server.hosts where isOpen(host, to: namespace) {
                let name = host.name.lowercased()
                for other in service.hosts where HostPattern.intersects(name, other) {
                    let narrower = HostPattern.covers(name, other) ? other : name
                    if !result.contains(narrower) { result.append(narrower) }
                }
            }
            return result
        }

        private func isOpen(_ host: Gateway.Host, to namespace: String) -> Bool {
            switch host.namespace {
            case nil, "*": true
            case ".": namespace == gateway.metadata.namespace
            case let named: named == namespace
            }
        }
    }

    /// What kind of listener a port is: servers of different kinds can't share one.
    enum Kind {
        /// One connection manager for all servers.
        case http
        /// A chain for each server or rule, chosen by SNI.
        case tls
        case tcp

        init(_ server: Gateway.Server) {
            let isPlain = server.port.protocol.isHTTP
            self = isPlain ? .http : server.port.protocol.isTLS ? .tls : .tcp
        }
    }

    /// A bound port with its servers, the oldest Gateway's first.
    struct Port {
        var number: UInt16
        var bind: IPAddress?
        var kind: Kind
        var servers: [Server]
    }

    private(set) var ports: [Port] = []
    private(set) var gatewayNames: Set<String> = []
    /// True where SNI alone names a cluster of the mesh.
    var hasAutoPassthrough: Bool {
        ports.flatMap(\.servers).contains { $0.server.tls?.mode.value == .autoPassthrough }
    }

    /// `gateways` are in order of age; `services` are those whose endpoints the pod is one of.
    init(
        gateways: [Gateway], pod: ClusterPod, services: [ClusterService], diagnostics: DiagnosticCollector
    ) {
        for gateway in gateways where pod.labels.hasAll(gateway.selector) {
            for server in gateway.servers {
                let server = Server(gateway: gateway, server: server)
                gatewayNames.insert(server.gatewayName)
                add(server, at: Self.boundPort(server.port, pod: pod, services: services), diagnostics)
            }
        }
        ports.sort { $0.number < $1.number }
    }

    /// A server names the Service's port; the proxy listens on the port behind it.
    private static func boundPort(_ number: UInt16, pod: ClusterPod, services: [ClusterService]) -> UInt16 {
        for service in services {
            guard let port = service.ports.first(where: { $0.port.number == number && $0.port.transport == .tcp })
            else { continue }
            if let target = pod.number(of: port.port.targetPort, transport: .tcp) { return target }
        }
        return number
    }

    private mutating func add(_ server: Server, at number: UInt16, _ diagnostics: DiagnosticCollector) {
        let bind = server.server.bind.flatMap { IPAddress($0.value) }
        let kind = Kind(server.server)
        guard let index = ports.firstIndex(where: { $0.number == number && $0.bind == bind }) else {
            ports.append(Port(number: number, bind: bind, kind: kind, servers: [server]))
            return
        }
        let older = ports[index]
        guard older.kind == kind, kind != .tcp else {
            diagnostics.warn(
                "\(server.gateway.id): port \(server.port) is already served as "
                    + "\(older.servers[0].server.port.protocol.rawValue) for \(older.servers[0].gateway.id), so this "
                    + "server is not used",
                remedy: "give it another port, or the same kind of protocol", at: server.server.port.location)
            return
        }
        var server = server
        if kind == .tls {
            // The first to name a host on a port keeps it.
            let taken = Set(older.servers.flatMap(\.server.hosts).map { $0.name.lowercased() })
            let (kept, lost) = (
                server.server.hosts.filter { !taken.contains($0.name.lowercased()) },
                server.server.hosts.filter { taken.contains($0.name.lowercased()) }
            )
            for host in lost {
                diagnostics.warn(
                    "\(server.gateway.id): host \(host.name) on port \(server.port) belongs to an older server",
                    remedy: "name it in one server only", at: host.location)
            }
            guard !kept.isEmpty else { return }
            server.server.hosts = kept
        }
        ports[index].servers.append(server)
    }
}
