package import Manifests

/// All that policies say in a cluster, in the order in which it is asked.
package struct PolicySet: Sendable {
    package var networkPolicies: [NetworkPolicy]
    /// By tier, priority and name.
    package var clusterPolicies: [ClusterPolicy]

    package init(_ resources: ResourceSet) {
        networkPolicies = resources.resources(NetworkPolicy.self)
        clusterPolicies = resources.resources(ClusterPolicy.self).sorted { a, b in
            if a.tier != b.tier { return a.tier == .admin }
            if a.priority != b.priority { return a.priority < b.priority }
            return Array(a.metadata.name.utf8).lexicographicallyPrecedes(Array(b.metadata.name.utf8))
        }
    }

    func clusterPolicies(in tier: ClusterPolicy.Tier) -> [ClusterPolicy] { clusterPolicies.filter { $0.tier == tier } }

    var isEmpty: Bool { networkPolicies.isEmpty && clusterPolicies.isEmpty }

    /// What can only be told with all of them at hand (adminnetworkpolicy.md §2, §3).
    var diagnostics: [Diagnostic] {
        var result: [Diagnostic] = []
        let newer = clusterPolicies.filter { $0.policyKind == .cluster }
        let older = clusterPolicies.filter { $0.policyKind != .cluster }
        if let older = older.first {
            result += newer.map { policy in
                Diagnostic(
                    .error,
                    "ClusterNetworkPolicy \(policy.metadata.name) can't be used together with"
                        + " \(older.policyKind.rawValue) \(older.metadata.name): no order between them is defined",
                    remedy: "write all of them as ClusterNetworkPolicy", at: policy.metadata.location)
            }
        }
        for (first, second) in zip(clusterPolicies, clusterPolicies.dropFirst())
        where first.tier == second.tier && first.priority == second.priority {
            result.append(
                Diagnostic(
                    .warning,
                    "\(second.policyKind.rawValue) \(second.metadata.name) has the priority \(second.priority) of"
                        + " \(first.metadata.name), too: which one comes first is not defined, here the names decide",
                    remedy: "give each a priority of its own", at: second.metadata.location))
        }
        return result
    }
}

extension ClusterNode {
    /// Its labels, with those that every node has.
    package var labels: [String: String] {
        let everywhere = ["kubernetes.io/hostname": name, "kubernetes.io/os": "linux"]
        return (properties?.labels ?? [:]).merging(everywhere) { own, _ in own }
    }
}
