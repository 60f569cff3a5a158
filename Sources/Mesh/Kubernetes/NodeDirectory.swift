import Manifests
import NetworkAddresses

/// The nodes of a lab: those of its manifests and of the scenario, else those that pods name, else the one that every
/// lab has. Those of a scenario are settled before its first step; a lab that stays up gets more. What they are like may
/// change.
struct NodeDirectory: Sendable {
    private var names: [String]
    private var addresses: [String: [IPAddress]]
    /// `spec.nodes`.
    private let ofScenario: [String: ScenarioNode]
    /// False where only pods tell of nodes, or nothing does.
    let isDescribed: Bool

    init(scenario: Scenario) {
        let resources = scenario.manifests + scenario.steps.flatMap(\.apply)
        let manifests = resources.compactMap { $0 as? Node }
        var names = scenario.nodes.map(\.name) + manifests.map(\.metadata.name)
        isDescribed = !names.isEmpty
        if names.isEmpty { names = resources.flatMap(Self.nodesNamed).sorted() }
        if names.isEmpty { names = [ClusterNode.only.name] }
        var seen: Set<String> = []
        names = names.filter { seen.insert($0).inserted }
        self.names = names
        ofScenario = Dictionary(scenario.nodes.map { ($0.name, $0) }) { first, _ in first }

        // A dump without nodes has their addresses in its pods' status.
        let told = resources.compactMap { $0 as? Pod }.compactMap { pod in
            pod.spec.nodeName.map { ($0, pod.hostAddresses) }
        }
        let addresses = Dictionary(
            (manifests.map { ($0.metadata.name, $0.addresses) } + told).filter { !$1.isEmpty }
        ) { first, _ in first }
        .filter { seen.contains($0.key) }
        self.addresses = addresses
        chooseAddresses()
    }

    /// Takes up nodes that were applied since; they come after the others.
    mutating func grow(by resources: ResourceSet) {
        for node in resources.resources(Node.self) where !contains(node.metadata.name) {
            names.append(node.metadata.name)
            if !node.addresses.isEmpty { addresses[node.metadata.name] = node.addresses }
        }
        chooseAddresses()
    }

    /// Gives addresses to the nodes that have none.
    private mutating func chooseAddresses() {
        var taken = Set(addresses.values.joined())
        var next = 0
        for name in names where addresses[name] == nil {
            while !taken.isDisjoint(with: LabNetwork.nodeAddresses(next)) { next += 1 }
            addresses[name] = LabNetwork.nodeAddresses(next)
            taken.formUnion(LabNetwork.nodeAddresses(next))
        }
    }

    private static func nodesNamed(_ resource: any Resource) -> [String] {
        switch resource {
        case let pod as Pod: [pod.spec.nodeName].compactMap(\.self)
        case let workload as Workload: [workload.template.spec.nodeName].compactMap(\.self)
        default: []
        }
    }

    /// Every node's addresses.
    var allAddresses: [IPAddress] { names.flatMap { addresses[$0] ?? [] } }

    func contains(_ name: String) -> Bool { addresses[name] != nil }

    /// What to write instead of a name that no node has.
    func remedy(for name: String) -> String {
        "the lab has \(names.count == 1 ? "only the node" : "the nodes") \(names.joined(separator: ", "))"
    }

    /// The nodes at a moment of the scenario. One that is applied only later takes no pods before.
    func nodes(of resources: ResourceSet) -> [ClusterNode] {
        let applied = Dictionary(resources.resources(Node.self).map { ($0.metadata.name, $0) }) { $1 }
        return names.map { name in
            let (node, own) = (applied[name], ofScenario[name])
            var labels = Self.usualLabels(name)
            labels.merge(node?.metadata.labels ?? [:]) { $1 }
            labels.merge(own?.labels ?? [:]) { $1 }
            let properties = ClusterNode.Properties(
                labels: labels, taints: node?.taints ?? [],
                isUnschedulable: node?.isUnschedulable ?? (own == nil))
            return ClusterNode(
                name: name, addresses: addresses[name] ?? [], properties: isDescribed || node != nil ? properties : nil)
        }
    }

    /// What a node's kubelet says of it.
    private static func usualLabels(_ name: String) -> [String: String] {
        ["kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"]
    }
}
