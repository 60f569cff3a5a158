import Manifests

/// The policies that select a workload, by action (gateway.md §6).
struct SelectedPolicies {
    var custom: [AuthorizationPolicy] = []
    var audit: [AuthorizationPolicy] = []
    var deny: [AuthorizationPolicy] = []
    var allow: [AuthorizationPolicy] = []
}

/// Finds the AuthorizationPolicies of workloads: those of the root namespace, then those of the workload's own.
struct AuthorizationIndex {
    private let policies: [AuthorizationPolicy]
    private let rootNamespace: String

    /// `policies` are in order of age, oldest first.
    init(_ policies: [AuthorizationPolicy], rootNamespace: String) {
        self.policies = policies.filter { !$0.hasTargetRefs }
        self.rootNamespace = rootNamespace
    }

    func policies(namespace: String, labels: [String: String]) -> SelectedPolicies {
        let wide = policies.filter { $0.metadata.namespace == rootNamespace }
        let own = namespace == rootNamespace ? [] : policies.filter { $0.metadata.namespace == namespace }
        var result = SelectedPolicies()
        for policy in wide + own where policy.selector.map(labels.hasAll) ?? true {
            switch policy.action {
            case .custom: result.custom.append(policy)
            case .audit: result.audit.append(policy)
            case .deny: result.deny.append(policy)
            case .allow: result.allow.append(policy)
            }
        }
        return result
    }
}
