/// A mesh and the flows through it, as parts that can be left out one by one.
struct GeneratedMesh: Hashable, Sendable {
    /// `random-SEED-INDEX`.
    var name: String
    var title = ""
    /// MeshConfig: the policy, the log and the address families.
    var mesh: YAMLValue = [:]
    /// What exists outside the cluster.
    var internet: [YAMLValue] = []
    /// Namespaces and pods.
    var workloads: [YAMLValue] = []
    var services: [YAMLValue] = []
    var serviceEntries: [YAMLValue] = []
    var destinationRules: [YAMLValue] = []
    var virtualServices: [YAMLValue] = []
    var sidecars: [YAMLValue] = []
    var flows: [YAMLValue] = []
    /// What only a real program does: clients that say nothing.
    var commands: [YAMLValue] = []
    /// Counters to be read after the traffic.
    var assertions: [YAMLValue] = []

    /// The manifests in the order in which they are applied, which is the order of their ages.
    var resources: [YAMLValue] {
        workloads + services + serviceEntries + destinationRules + virtualServices + sidecars
    }

    /// The scenario as one file.
    var scenario: YAMLValue {
        var metadata: YAMLValue = ["name": .text(name)]
        if !title.isEmpty { metadata["title"] = .text(title) }
        metadata["tags"] = ["differential"]
        var spec: YAMLValue = ["mesh": mesh]
        if !resources.isEmpty { spec["manifests"] = .list(resources) }
        if !internet.isEmpty { spec["internet"] = .list(internet) }
        var step: YAMLValue = ["name": "the same on both data planes"]
        if !flows.isEmpty { step["flows"] = .list(flows) }
        if !commands.isEmpty { step["commands"] = .list(commands) }
        if !assertions.isEmpty { step["assert"] = .list(assertions) }
        spec["steps"] = [step]
        return [
            "apiVersion": "egress-lab.dev/v1", "kind": "Scenario", "metadata": metadata, "spec": spec,
        ]
    }

    var text: String { scenario.document }

    /// What each flow is expected to do unless something better is known: the comparison looks at what was observed,
    /// and an expected duration keeps the client from being cut short when its denial is certain.
    static let neutralExpectation: YAMLValue = ["outcome": "denied", "duration": "0s..60s"]
}
