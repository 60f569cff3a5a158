import Manifests
import NetworkAddresses
import ProxyModel

/// Makes the listeners of a gateway pod (gateway.md §2).
struct GatewayListenerPass {
    let context: ProxyContext
    let servers: GatewayServers
    let authorization: AuthorizationPass

    func listeners() -> [Listener] { servers.ports.compactMap(listener) }

    private func listener(_ port: GatewayServers.Port) -> Listener? {
        let addresses = port.bind.map { [IPEndpoint($0, port.number)] } ?? context.families.wildcards(port.number)
        let name = "\(port.bind?.description ?? context.families.wildcardName)_\(port.number)"
        let chains =
            switch port.kind {
            case .http: [authorization.authorized(httpChain(port, listener: name))]
            case .tls: port.servers.flatMap { tlsChains($0, listener: name) }
            case .tcp: port.servers.flatMap(tcpChains).map(authorization.authorized)
            }
        if port.kind == .tls { warnOfSharedServerNames(port) }
        // Without a chain Istio makes no listener: the port refuses.
        guard !chains.isEmpty else { return nil }
        var listener = Listener(
            name: name, addresses: addresses, trafficDirection: .outbound, bindToPort: true,
            filterChains: Self.distinct(chains), origin: port.servers.first?.origin.description)
        if port.kind == .tls { listener.listenerFilters = [.tlsInspector] }
        return listener
    }

    private func httpChain(_ port: GatewayServers.Port, listener: String) -> FilterChain {
        FilterChain(
            name: listener,
            filter: .httpConnectionManager(
                manager(listener, routes: GatewayRoutePass.tableName(plain: port.number))),
            origin: port.servers.first?.origin.description)
    }

    private func manager(_ listener: String, routes: String) -> HTTPConnectionManager {
        let headers = context.mesh.proxyHeaders
        return HTTPConnectionManager(
            statPrefix: "outbound_\(listener)", routeConfiguration: routes, serverName: "istio-envoy",
            serverHeader: headers.serverDisabled == true ? .passThrough : .overwrite,
            generatesRequestID: headers.requestIDDisabled != true, usesRemoteAddress: true,
            clientCertificateForwarding: .gateway)
    }

    private func tlsChains(_ server: GatewayServers.Server, listener: String) -> [FilterChain] {
        guard let tls = server.tlsContext else {
            if server.server.tls?.mode.value == .autoPassthrough { return autoPassthroughChains() }
            return ruledChains(server) { $0.tlsChains($1, port: server.port) }.map(authorization.authorized)
        }
        guard server.server.port.protocol == .https else {
            // Behind TLS that ends here, bytes go by `tcp` rules.
            return ruledChains(server) { $0.tcpChains($1, port: server.port) }.map { chain in
                var chain = chain
                chain.match.serverNames = server.serverNames
                chain.transportSocket = tls
                return authorization.authorized(chain)
            }
        }
        return [
            authorization.authorized(
                FilterChain(
                    name: "\(listener)_\(server.server.port.name)",
                    match: FilterChainMatch(serverNames: server.serverNames),
                    filter: .httpConnectionManager(manager(listener, routes: GatewayRoutePass.tableName(of: server))),
                    transportSocket: tls, origin: server.origin.description))
        ]
    }

    /// A chain for each cluster of the mesh, by the name that sidecars say; `istio` ALPN alone gets in.
    private func autoPassthroughChains() -> [FilterChain] {
        context.scope.clusterServices.filter { !$0.isExternal }.flatMap { service -> [FilterChain] in
            let subsets =
                context.destinationRules.rule(
                    for: service.hostname, serviceNamespace: service.namespace, client: context.namespace,
                    labels: context.labels)?.subsets.map(\.subset.name) ?? []
            return service.ports.filter { $0.protocol != .udp }.flatMap { port in
                ([nil] + subsets.map(Optional.some)).map { subset in
                    let name = ClusterName.serverName(port: port.number, subset: subset, host: service.hostname)
                    return FilterChain(
                        name: name,
                        match: FilterChainMatch(serverNames: [name], applicationProtocols: MeshALPN.all),
                        filter: .tcpProxy(
                            ConnectionPoolPass(context: context).tcpProxy(
                                [WeightedCluster(name: name, weight: 1)], statPrefix: name, host: service.hostname)),
                        origin: port.origin.description)
                }
            }
        }
    }

    private func tcpChains(_ server: GatewayServers.Server) -> [FilterChain] {
        ruledChains(server) { $0.tcpChains($1, port: server.port) }
    }

    /// The chains of the rules that are bound to the server's Gateway. Their server names are the rules' own: a
    /// narrower host of the server does not narrow them.
    private func ruledChains(
        _ server: GatewayServers.Server, _ make: (RuledChainPass, ScopedVirtualService) -> [FilterChain]
    ) -> [FilterChain] {
        var context = context
        context.gateways = [server.gatewayName]
        let pass = RuledChainPass(context: context)
        return context.scope.virtualServices.filter { !server.hosts(of: $0).isEmpty }.flatMap { make(pass, $0) }
    }

    /// Of two rules for one server name the older keeps it, without a word of Istio's.
    private func warnOfSharedServerNames(_ port: GatewayServers.Port) {
        var owners: [String: (subnets: [IPPrefix], id: ResourceID, location: SourceLocation)] = [:]
        for server in port.servers where server.tlsContext == nil {
            var context = context
            context.gateways = [server.gatewayName]
            let pass = RuledChainPass(context: context)
            for service in context.scope.virtualServices where !server.hosts(of: service).isEmpty {
                for (name, subnets, location) in pass.serverNames(service, port: server.port) {
                    guard let owner = owners[name] else {
                        owners[name] = (subnets, service.rule.id, location)
                        continue
                    }
                    guard owner.subnets == subnets, owner.location != location else { continue }
                    context.diagnostics.warn(
                        "\(service.rule.id): server name \(name) on port \(server.port) already leads where "
                            + "\(owner.id) says (\(owner.location)), so this match is not used",
                        remedy: "name it in one match only", at: location)
                }
            }
        }
    }

    /// Envoy refuses a listener with two chains for the same match; the older rule keeps what both name.
    private static func distinct(_ chains: [FilterChain]) -> [FilterChain] {
        var result: [FilterChain] = []
        for chain in chains {
            let older = result.filter {
                $0.match.prefixRanges == chain.match.prefixRanges
                    && $0.match.applicationProtocols == chain.match.applicationProtocols
            }
            var chain = chain
            if chain.match.serverNames.isEmpty {
                if older.contains(where: \.match.serverNames.isEmpty) { continue }
            } else {
                chain.match.serverNames.removeAll { name in older.contains { $0.match.serverNames.contains(name) } }
                if chain.match.serverNames.isEmpty { continue }
            }
            result.append(chain)
        }
        return result
    }
}
