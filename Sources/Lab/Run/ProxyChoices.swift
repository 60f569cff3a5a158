import Mesh
import NetworkAddresses
import ProxyModel

/// Where a plan's proxies and nodes choose among equals: sets of upstream hosts, of clusters, and of servers behind one
/// address of a Service.
///
/// A cluster's load balancer, a route's weights and a node's translation draw lots, so that two runs may differ there
/// and be right both times.
struct ProxyChoices: Sendable {
    let plan: LabPlan

    /// Each set sorted, in an order of their own; nil when nothing is left to chance.
    var sets: [[String]]? {
        var found: Set<[String]> = []
        for proxy in plan.pods.compactMap(\.proxy) {
            let clusters = Dictionary(proxy.clusters.map { ($0.name, $0) }) { first, _ in first }
            for cluster in proxy.clusters { found.insert(hosts(of: cluster)) }
            for group in weightedGroups(of: proxy) {
                found.insert(group.sorted())
                let all = group.compactMap { clusters[$0] }.flatMap { hosts(of: $0) }
                found.insert(Array(Set(all)).sorted())
            }
        }
        for targets in plan.translations.values { found.insert(sites(of: targets)) }
        let sets = found.filter { $0.count > 1 }.sorted { $0.lexicographicallyPrecedes($1) }
        return sets.isEmpty ? nil : sets
    }

    /// The clusters that share a route or a chain by weight.
    private func weightedGroups(of proxy: ProxyConfiguration) -> [[String]] {
        let routed = proxy.routes.flatMap(\.virtualHosts).flatMap(\.routes).compactMap { route in
            if case .forward(let action) = route.action { action.clusters } else { nil }
        }
        let chained = proxy.listeners.flatMap { $0.filterChains + [$0.defaultFilterChain].compactMap(\.self) }
            .compactMap { chain in if case .tcpProxy(let tcp) = chain.filter { tcp.clusters } else { nil } }
        return (routed + chained).map { $0.filter { $0.weight > 0 }.map(\.name) }.filter { Set($0).count > 1 }
    }

    /// `ADDRESS:PORT` of every host that the cluster balances over.
    private func hosts(of cluster: ProxyModel.Cluster) -> [String] {
        let endpoints = cluster.endpoints.filter { $0.weight > 0 }
        let hosts: [String] =
            switch cluster.discovery {
            // Where the client went, it goes.
            case .originalDestination, .dynamicForwardProxy: []
            case .staticEndpoints, .endpointDiscovery:
                endpoints.compactMap { endpoint in
                    IPAddress(endpoint.host).map { "\(IPEndpoint($0, endpoint.port))" }
                }
            case .strictDNS, .logicalDNS:
                endpoints.flatMap { endpoint in
                    addresses(of: endpoint.host).filter { cluster.dnsFamilies.contains($0.family) }
                        .map { "\(IPEndpoint($0, endpoint.port))" }
                }
            }
        return Array(Set(hosts)).sorted()
    }

    /// The pods at `endpoints`, as evidence names them.
    private func sites(of endpoints: Set<IPEndpoint>) -> [String] {
        let addresses = Set(endpoints.map(\.address))
        return plan.pods.filter { !addresses.isDisjoint(with: $0.pod.addresses) }.map { "pod \($0.pod.id)" }.sorted()
    }

    private func addresses(of name: String) -> [IPAddress] {
        if let address = IPAddress(name) { return [address] }
        let name = name.lowercased()
        return plan.dns.records[name] ?? plan.dns.internetRecords[name] ?? []
    }
}
