import Manifests
import NetworkAddresses
import ProxyModel

/// Makes filter chains of VirtualServices' `tls` and `tcp` rules (outbound.md §7).
struct RuledChainPass {
    let context: ProxyContext

    /// The chains of the `tls` rules that are meant for this proxy: a chain for the names that each match lists.
    func tlsChains(_ service: ScopedVirtualService, port: UInt16, blocks: [IPPrefix] = []) -> [FilterChain] {
        service.rule.tls.filter { !$0.route.isEmpty }.flatMap { route in
            route.match.filter { isMeant($0, of: service, port: port) }.map { match in
                let names = match.sniHosts.map { $0.lowercased() }
                return chain(
                    to: route.route, of: service, port: port, at: route.location,
                    match: FilterChainMatch(
                        prefixRanges: match.destinationSubnets.isEmpty
                            ? blocks : match.destinationSubnets.filter(\.isCondition),
                        serverNames: names.contains("*") ? [] : names))
            }
        }
    }

    /// The server names of the `tls` rules that are meant for this proxy, each where its match stands.
    func serverNames(
        _ service: ScopedVirtualService, port: UInt16
    ) -> [(name: String, subnets: [IPPrefix], location: SourceLocation)] {
        service.rule.tls.filter { !$0.route.isEmpty }.flatMap { route in
            route.match.filter { isMeant($0, of: service, port: port) }.flatMap { match in
                match.sniHosts.map { ($0.lowercased(), match.destinationSubnets, match.location ?? route.location) }
            }
        }
    }

    /// The chains of the `tcp` rules; the first that matches every destination ends the list.
    func tcpChains(_ service: ScopedVirtualService, port: UInt16, blocks: [IPPrefix] = []) -> [FilterChain] {
        var chains: [FilterChain] = []
        for route in service.rule.tcp where !route.route.isEmpty {
            let matches = route.match.filter { isMeant($0, of: service, port: port) }
            guard !matches.isEmpty || route.match.isEmpty else { continue }
            let subnets = matches.flatMap(\.destinationSubnets)
            let isUnconditional = matches.isEmpty || matches.contains { $0.destinationSubnets.isEmpty }
            chains.append(
                chain(
                    to: route.route, of: service, port: port, at: route.location,
                    match: FilterChainMatch(prefixRanges: isUnconditional ? blocks : subnets.filter(\.isCondition))))
            if isUnconditional { break }
        }
        return chains
    }

    private func chain(
        to destinations: [VirtualService.Destination], of service: ScopedVirtualService, port: UInt16,
        at location: SourceLocation, match: FilterChainMatch
    ) -> FilterChain {
        let clusters = VirtualServicePass(context: context).clusters(of: destinations, in: service, listenerPort: port)
        let name = clusters.first?.name ?? ClusterName.blackHole
        return FilterChain(
            name: name, match: match,
            filter: .tcpProxy(
                ConnectionPoolPass(context: context).tcpProxy(
                    clusters, statPrefix: name, host: ClusterName.host(ofOutbound: name))),
            origin: service.rule.origin(at: location).description)
    }

    private func isMeant(_ match: VirtualService.TLSMatch, of service: ScopedVirtualService, port: UInt16) -> Bool {
        isMeant(
            service, gateways: match.gateways, port: match.port, labels: match.sourceLabels,
            namespace: match.sourceNamespace, at: port)
    }

    private func isMeant(_ match: VirtualService.TCPMatch, of service: ScopedVirtualService, port: UInt16) -> Bool {
        isMeant(
            service, gateways: match.gateways, port: match.port, labels: match.sourceLabels,
            namespace: match.sourceNamespace, at: port)
    }

    private func isMeant(
        _ service: ScopedVirtualService, gateways: [String], port wanted: UInt16?, labels: [String: String],
        namespace: String?, at port: UInt16
    ) -> Bool {
        (wanted ?? port) == port && (gateways.isEmpty || service.isMeant(gateways, for: context.gateways))
            && context.labels.hasAll(labels) && (namespace ?? context.namespace) == context.namespace
    }
}
