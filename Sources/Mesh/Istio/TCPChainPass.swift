import Manifests
import NetworkAddresses
import ProxyModel

/// Makes the filter chains of TCP, TLS and sniffed ports (outbound.md §2, §4, §7).
struct TCPChainPass {
    /// What the listener's address already decides.
    enum Place {
        /// A listener of the service's own address.
        case address
        /// A wildcard listener, of which the service has these blocks.
        case blocks([IPPrefix])
        /// A wildcard listener; the service has no addresses.
        case anywhere
    }

    let context: SidecarContext

    func chains(for service: RegistryService, _ port: RegistryService.Port, at place: Place) -> [FilterChain] {
        var match = FilterChainMatch()
        if case .blocks(let blocks) = place { match.prefixRanges = blocks }
        guard port.protocol.isTLS else { return [chain(service, port, match: match)] }
        let ruled = ruledChains(service, port, place: match.prefixRanges)
        if !ruled.isEmpty { return ruled }
        // On an address of the service's own, the server name is not looked at.
        if case .address = place { return [chain(service, port, match: match)] }
        match.serverNames = service.hostname == "*" ? [] : [service.hostname]
        return [chain(service, port, match: match)]
    }

    private func chain(
        _ service: RegistryService, _ port: RegistryService.Port, match: FilterChainMatch
    ) -> FilterChain {
        let cluster = ClusterName.outbound(port: port.number, host: service.hostname)
        return FilterChain(
            name: cluster, match: match, filter: .tcpProxy(TCPProxy(cluster: cluster)),
            origin: port.origin.description)
    }

    /// The chains of VirtualService `tls` rules that are meant for this proxy; they replace the service's own.
    private func ruledChains(
        _ service: RegistryService, _ port: RegistryService.Port, place: [IPPrefix]
    ) -> [FilterChain] {
        let pass = VirtualServicePass(context: context)
        var result: [FilterChain] = []
        for rule in context.scope.virtualServices
        where rule.hosts.contains(where: { HostPattern.intersects($0, service.hostname) }) {
            for route in rule.rule.tls where !route.route.isEmpty {
                for match in route.match where isMeant(match, port: port.number) {
                    let names = match.sniHosts.map { $0.lowercased() }
                    let clusters = pass.clusters(of: route.route, in: rule, listenerPort: port.number)
                    let name = clusters.first?.name ?? ClusterName.blackHole
                    result.append(
                        FilterChain(
                            name: name,
                            match: FilterChainMatch(
                                prefixRanges: match.destinationSubnets.isEmpty ? place : match.destinationSubnets,
                                serverNames: names.contains("*") ? [] : names),
                            filter: .tcpProxy(TCPProxy(statPrefix: name, clusters: clusters)),
                            origin: rule.rule.origin(at: route.location).description))
                }
            }
        }
        return result
    }

    private func isMeant(_ match: VirtualService.TLSMatch, port: UInt16) -> Bool {
        (match.port ?? port) == port
            && (match.gateways.isEmpty || match.gateways.contains("mesh"))
            && context.labels.hasAll(match.sourceLabels)
            && (match.sourceNamespace ?? context.namespace) == context.namespace
    }
}
