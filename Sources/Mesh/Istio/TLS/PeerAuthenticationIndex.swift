import Manifests

/// Finds what a workload's sidecar accepts inbound: port over workload over namespace over mesh (gateway.md §5).
struct PeerAuthenticationIndex {
    private let rules: [PeerAuthentication]
    private let rootNamespace: String

    /// `rules` are in order of age, oldest first.
    init(_ rules: [PeerAuthentication], rootNamespace: String) {
        self.rules = rules
        self.rootNamespace = rootNamespace
    }

    /// True where any rule says something.
    var isAsked: Bool { !rules.isEmpty }

    func mode(namespace: String, labels: [String: String], port: UInt16) -> PeerAuthentication.Mode {
        let own = rules.filter { $0.metadata.namespace == namespace }
        let workload = own.first { $0.selector.map(labels.hasAll) ?? false }
        let inherited = [
            workload?.portLevelMtls[port]?.value, workload?.mtls?.value,
            own.first { $0.selector == nil }?.mtls?.value,
            rules.first { $0.metadata.namespace == rootNamespace && $0.selector == nil }?.mtls?.value,
        ]
        return inherited.lazy.compactMap { $0 }.first { $0 != .unset } ?? .permissive
    }
}
