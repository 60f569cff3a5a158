import Manifests
import ProxyModel

/// Says what requests and connections are hashed by, where a DestinationRule's `consistentHash` chooses their host.
struct ConsistentHashPass {
    let context: ProxyContext

    /// Of a route to these clusters, in their order; nil where none asks for any.
    func policies(of clusters: [String]) -> [HashPolicy]? {
        let policies = clusters.compactMap { key(of: $0) }.map { key -> HashPolicy in
            switch key {
            case .header(let name): .header(name)
            case .cookie(let name, let path, let ttl): .cookie(name: name, ttlMs: ttl, path: path)
            case .sourceIP: .sourceIP
            case .queryParameter(let name): .queryParameter(name)
            }
        }
        return policies.isEmpty ? nil : policies
    }

    /// Whether connections to the cluster are hashed by their source; nil is no.
    func hashesSourceIP(_ cluster: String) -> Bool? { key(of: cluster) == .sourceIP ? true : nil }

    private func key(of cluster: String) -> TrafficPolicy.ConsistentHash.Key? {
        let parts = cluster.split(separator: "|", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 4, parts[0] == "outbound", let port = UInt16(parts[1]),
            let service = context.scope.service(parts[3]),
            let rule = context.destinationRules.rule(
                for: service.hostname, serviceNamespace: service.namespace, client: context.namespace,
                labels: context.labels)
        else { return nil }
        let subset = rule.subsets.first { $0.subset.name == parts[2] }?.subset
        let policy = TrafficPolicy.effective(rule: rule.trafficPolicy, subset: subset?.trafficPolicy, port: port)
        guard case .consistentHash(let hash)? = policy?.loadBalancer?.value else { return nil }
        return hash.key
    }
}
