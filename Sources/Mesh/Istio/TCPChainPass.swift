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

    let context: ProxyContext

    func chains(for service: RegistryService, _ port: RegistryService.Port, at place: Place) -> [FilterChain] {
        var match = FilterChainMatch()
        if case .blocks(let blocks) = place { match.prefixRanges = blocks.filter(\.isCondition) }
        guard port.protocol.isTLS else {
            let ruled = ruledTCPChains(service, port, place: match.prefixRanges)
            // What no rule takes goes to the service itself.
            return ruled.contains { $0.match == match } ? ruled : ruled + [chain(service, port, match: match)]
        }
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
            name: cluster, match: match,
            filter: .tcpProxy(
                ConnectionPoolPass(context: context).tcpProxy(
                    [WeightedCluster(name: cluster, weight: 1)], statPrefix: cluster, host: service.hostname)),
            origin: port.origin.description)
    }

    /// The chains of VirtualService `tls` rules that are meant for this proxy; they replace the service's own.
    private func ruledChains(
        _ service: RegistryService, _ port: RegistryService.Port, place: [IPPrefix]
    ) -> [FilterChain] {
        rules(for: service).flatMap {
            RuledChainPass(context: context).tlsChains($0, port: port.number, blocks: place)
        }
    }

    /// The chains of `tcp` rules, up to the first that takes everything.
    private func ruledTCPChains(
        _ service: RegistryService, _ port: RegistryService.Port, place: [IPPrefix]
    ) -> [FilterChain] {
        var chains: [FilterChain] = []
        for rule in rules(for: service) {
            for chain in RuledChainPass(context: context).tcpChains(rule, port: port.number, blocks: place) {
                chains.append(chain)
                if chain.match.prefixRanges == place { return chains }
            }
        }
        return chains
    }

    private func rules(for service: RegistryService) -> [ScopedVirtualService] {
        context.scope.virtualServices.filter { rule in
            rule.hosts.contains { HostPattern.intersects($0, service.hostname) }
        }
    }
}

extension IPPrefix {
    /// False for blocks at 0.0.0.0, which Istio leaves out of chains' matches.
    var isCondition: Bool { address != .anyIPv4 }
}
