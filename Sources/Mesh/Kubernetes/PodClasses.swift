import Manifests

/// Pods grouped by namespace and labels: what selectors can tell apart. Selecting costs the number of groups, not of
/// pods.
struct PodClasses {
    struct Class {
        var namespace: String
        var labels: [String: String]
        /// Positions in the cluster's list of pods.
        var pods: [Int]
    }

    private(set) var all: [Class] = []
    /// Positions in `all`.
    private(set) var byNamespace: [String: [Int]] = [:]

    /// Policies know nothing of pods on the nodes' network; Services lead there as to any other.
    init(_ pods: [ClusterPod], includingHostNetwork: Bool = false) {
        struct Key: Hashable {
            var namespace: String
            var labels: [String: String]
        }
        var positions: [Key: Int] = [:]
        for (position, pod) in pods.enumerated() where includingHostNetwork || !pod.spec.hostNetwork {
            let key = Key(namespace: pod.id.namespace, labels: pod.labels)
            if let known = positions[key] {
                all[known].pods.append(position)
            } else {
                positions[key] = all.count
                byNamespace[pod.id.namespace, default: []].append(all.count)
                all.append(Class(namespace: pod.id.namespace, labels: pod.labels, pods: [position]))
            }
        }
    }

    /// The groups of a namespace whose labels `matches` accepts, as positions in `all`.
    func select(namespace: String, where matches: ([String: String]) -> Bool) -> [Int] {
        (byNamespace[namespace] ?? []).filter { matches(all[$0].labels) }
    }

    /// The groups of all namespaces that a cluster-wide selection means.
    func select(_ pods: ClusterPolicy.Pods, in cluster: Cluster) -> [Int] {
        byNamespace.keys.filter { pods.namespaces.matches(cluster.namespaces[$0] ?? [:]) }.sorted()
            .flatMap { select(namespace: $0) { pods.pods?.matches($0) ?? true } }
    }
}
