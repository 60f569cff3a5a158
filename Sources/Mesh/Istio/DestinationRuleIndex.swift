import Manifests

/// Finds the DestinationRule that holds for a client and a service (outbound.md §8).
struct DestinationRuleIndex {
    /// What the rules of one host come to.
    struct Match {
        var subsets: [(subset: DestinationRule.Subset, origin: Origin)]
        var trafficPolicy: TrafficPolicy?
        /// Chosen by a `workloadSelector`.
        var isSelected: Bool
        var origin: Origin
    }

    private let byNamespace: [String: [DestinationRule]]
    private let rootNamespace: String

    /// `rules` are in order of age, oldest first.
    init(_ rules: [DestinationRule], rootNamespace: String) {
        byNamespace = Dictionary(grouping: rules) { $0.metadata.namespace }
        self.rootNamespace = rootNamespace
    }

    /// The client's namespace, the service's, then the root namespace: the first with a matching host wins whole.
    func rule(
        for host: String, serviceNamespace: String, client: String, labels: [String: String]
    ) -> Match? {
        let own = (byNamespace[client] ?? []).filter { rule in
            client != rootNamespace || ExportTo(rule.exportTo, namespace: client).isPrivate
        }
        if let match = match(own, host, labels) { return match }
        for namespace in [serviceNamespace, rootNamespace] {
            let exported = (byNamespace[namespace] ?? []).filter {
                ExportTo($0.exportTo, namespace: namespace).includes(client)
            }
            if let match = match(exported, host, labels) { return match }
        }
        return nil
    }

    private func match(_ rules: [DestinationRule], _ host: String, _ labels: [String: String]) -> Match? {
        let hosts = rules.filter { $0.workloadSelector.map(labels.hasAll) ?? true }.map {
            (host: HostPattern.qualified($0.host.value, namespace: $0.metadata.namespace), rule: $0)
        }
        guard let pattern = HostPattern.mostSpecific(of: hosts.map(\.host), covering: host) else { return nil }
        var found = hosts.filter { $0.host == pattern }.map(\.rule)
        if found.contains(where: { $0.workloadSelector != nil }) { found.removeAll { $0.workloadSelector == nil } }
        guard let first = found.first else { return nil }
        var match = Match(subsets: [], isSelected: first.workloadSelector != nil, origin: first.origin())
        for rule in found {
            for subset in rule.subsets where !match.subsets.contains(where: { $0.subset.name == subset.name }) {
                match.subsets.append((subset, rule.origin(at: subset.location)))
            }
            match.trafficPolicy = match.trafficPolicy ?? rule.trafficPolicy
        }
        return match
    }
}
