import Manifests
import NetworkAddresses
import ProxyModel

/// Makes what a sidecar does with connections to its own pod.
struct InboundPass {
    /// What `configuration()` gives.
    struct Result {
        var listener: Listener
        var routes: [RouteConfiguration]
        var clusters: [ProxyModel.Cluster]
    }

    private struct TargetPort {
        var number: UInt16
        var `protocol`: PortProtocol
        var hostname: String
        var servicePort: UInt16
        var origin: Origin
    }

    let pod: ClusterPod
    let services: [ClusterService]
    let selection: ProtocolSelection
    let context: ProxyContext
    let inboundPort: UInt16
    let peerAuthentication: PeerAuthenticationIndex
    let trustDomain: String
    let authorization: AuthorizationPass

    func configuration() -> Result {
        let ports = targetPorts()
        let catchAll = FilterChain(
            name: "virtualInbound-catchall-tcp", filter: .tcpProxy(TCPProxy(cluster: ClusterName.inboundPassthrough)),
            authorization: authorization.connectionFilters(isImplied: true))
        let unnamed = secured([catchAll], mode: mode(of: 0))
        var listener = Listener(
            name: "virtualInbound", addresses: context.families.wildcards(inboundPort), trafficDirection: .inbound,
            bindToPort: true,
            filterChains: [
                FilterChain(
                    name: "virtualInbound-blackhole", match: FilterChainMatch(destinationPort: inboundPort),
                    filter: .tcpProxy(TCPProxy(cluster: ClusterName.blackHole)), isLogged: false)
            ] + ports.flatMap { secured(chains($0).map(authorization.authorized), mode: mode(of: $0.number)) }
                + unnamed.filter { $0.match != FilterChainMatch() },
            defaultFilterChain: unnamed.first { $0.match == FilterChainMatch() })
        if listener.filterChains.contains(where: { $0.transportSocket != nil }) {
            listener.listenerFilters = [.tlsInspector]
        }
        if ports.contains(where: { $0.protocol == .unspecified }) {
            listener.listenerFilters.append(.httpInspector)
        }
        // The inspectors run for every port of the one listener: let servers that speak first have their turn.
        if !listener.listenerFilters.isEmpty, ports.contains(where: { $0.protocol.isPlainTCP }) {
            listener.listenerFiltersTimeoutMs = 100
        }
        return Result(
            listener: listener,
            routes: ports.filter { $0.protocol.isHTTP || $0.protocol == .unspecified }.map(table),
            clusters: [cluster(ClusterName.inboundPassthrough)] + ports.map(cluster))
    }

    private func cluster(_ name: String) -> ProxyModel.Cluster {
        ProxyModel.Cluster(
            name: name, discovery: .originalDestination, connectTimeoutMs: context.connectTimeoutMs,
            sourceAddresses: context.families.inboundSources, dnsFamilies: context.families.list)
    }

    private func cluster(_ port: TargetPort) -> ProxyModel.Cluster {
        var cluster = cluster(ClusterName.inbound(port: port.number))
        cluster.httpProtocolOptions = port.protocol.httpProtocolOptions
        cluster.origin = port.origin.description
        ConnectionPoolPass(context: context).inbound(&cluster, host: port.hostname, port: port.servicePort)
        return cluster
    }

    /// The pod's ports that Services select; where several name one, the oldest decides its protocol.
    private func targetPorts() -> [TargetPort] {
        var ports: [TargetPort] = []
        for service in services where service.pods.contains(pod.id) {
            for port in service.ports where port.port.transport == .tcp {
                guard let number = targetPort(port), !ports.contains(where: { $0.number == number }) else { continue }
                ports.append(
                    TargetPort(
                        number: number, protocol: selection.protocolOf(port.port), hostname: service.hostname,
                        servicePort: port.port.number, origin: service.service.origin(at: port.port.location)))
            }
        }
        return ports.sorted { $0.number < $1.number }
    }

    private func targetPort(_ port: ClusterService.Port) -> UInt16? {
        if let own = port.endpoints.first(where: { pod.addresses.contains($0.address) }) { return own.port }
        switch port.port.targetPort {
        case .number(let number): return number
        case .name(let name):
            return pod.spec.containers.flatMap(\.ports).first { $0.name == name && $0.transport == .tcp }?.number
        }
    }

    private func chains(_ port: TargetPort) -> [FilterChain] {
        let cluster = ClusterName.inbound(port: port.number)
        let origin = port.origin.description
        let address = "\(context.families.wildcardName)_\(port.number)"
        var tcp = FilterChain(
            name: address, match: FilterChainMatch(destinationPort: port.number),
            filter: .tcpProxy(TCPProxy(cluster: cluster)), origin: origin)
        guard port.protocol.isHTTP || port.protocol == .unspecified else { return [tcp] }
        let manager = HTTPConnectionManager(
            statPrefix: "inbound_\(address)", routeConfiguration: cluster, serverName: "istio-envoy",
            serverHeader: context.mesh.proxyHeaders.serverDisabled == true ? .passThrough : .overwrite,
            generatesRequestID: context.mesh.proxyHeaders.requestIDDisabled != true)
        var http = FilterChain(
            name: address, match: FilterChainMatch(destinationPort: port.number),
            filter: .httpConnectionManager(manager), origin: origin)
        guard port.protocol == .unspecified else { return [http] }
        http.name += "_http"
        http.match.transportProtocol = .rawBuffer
        http.match.applicationProtocols = ["http/1.1", "h2c"]
        // Envoy does not go back: bytes that are not HTTP need a chain at the same transport protocol.
        tcp.match.transportProtocol = .rawBuffer
        return [http, tcp]
    }

    // MARK: Mutual TLS

    /// Istio 1.0 had none by default.
    private func mode(of port: UInt16) -> PeerAuthentication.Mode {
        guard !context.isIstio10, context.mesh.enableAutoMtls != false || peerAuthentication.isAsked else {
            return .disable
        }
        return peerAuthentication.mode(namespace: pod.id.namespace, labels: pod.labels, port: port)
    }

    /// The chains of a port with what its mode asks for: PERMISSIVE takes the mesh's TLS besides everything else,
    /// STRICT nothing but TLS.
    private func secured(_ plain: [FilterChain], mode: PeerAuthentication.Mode) -> [FilterChain] {
        guard mode == .permissive || mode == .strict else { return plain }
        let isSniffed = plain.count > 1
        let encrypted = plain.map { chain in
            var chain = chain
            chain.match.transportProtocol = .tls
            let isHTTP = if case .httpConnectionManager = chain.filter { true } else { false }
            chain.transportSocket = context(isHTTP: isHTTP)
            if isSniffed, isHTTP {
                chain.match.applicationProtocols = MeshALPN.allHTTP
            } else if mode == .permissive {
                // Envoy refuses two chains that may match the same connection.
                chain.match.applicationProtocols = isSniffed ? MeshALPN.tcp : MeshALPN.all
            }
            return chain
        }
        if mode == .strict { return encrypted }
        var result = encrypted
        for var chain in plain {
            // Envoy does not go back: what is not TLS needs a chain at the same level, and so does the application's own TLS.
            let takesAll = chain.match.transportProtocol == nil
            if case .tcpProxy = chain.filter, chain.match.destinationPort != nil {
                var opaque = chain
                opaque.match.transportProtocol = .tls
                result.append(opaque)
            }
            if takesAll, chain.match.destinationPort != nil { chain.match.transportProtocol = .rawBuffer }
            result.append(chain)
        }
        return result
    }

    private func context(isHTTP: Bool) -> DownstreamTLSContext {
        DownstreamTLSContext(
            tlsCertificate: ProxySecret.workloadIdentity, requireClientCertificate: true,
            validation: CertificateValidation(
                trustedCA: ProxySecret.meshRoots, subjectAltNames: [.prefix("spiffe://\(trustDomain)/")]),
            alpnProtocols: isHTTP ? MeshALPN.web : MeshALPN.tcp,
            minimumVersion: context.mesh.meshMTLSMinProtocolVersion == .tls13 ? .tls13 : .tls12)
    }

    private func table(_ port: TargetPort) -> RouteConfiguration {
        let cluster = ClusterName.inbound(port: port.number)
        let origin = port.origin.description
        let route = Route(
            name: "default", match: RouteMatch(path: .prefix("/")),
            action: .forward(ForwardAction(clusters: [WeightedCluster(name: cluster)])),
            decorator: "\(port.hostname):\(port.servicePort)/*", origin: origin)
        return RouteConfiguration(
            name: cluster,
            virtualHosts: [
                VirtualHost(
                    name: "inbound|http|\(port.number)", domains: ["*"], routes: [route], includesAttemptCount: false,
                    origin: origin)
            ])
    }
}
