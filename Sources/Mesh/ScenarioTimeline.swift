package import Manifests

/// The states that a scenario takes its cluster through: first its manifests, then one for each step.
///
/// The lab and `render` walk the same timeline, so that what is printed is what is installed.
package struct ScenarioTimeline: Sendable, Sequence, IteratorProtocol {
    /// The cluster's objects and mesh configuration after one change.
    package struct Moment: Sendable {
        /// nil: the scenario's manifests, before its first step.
        package var step: Step?
        package var resources: ResourceSet
        package var mesh: MeshConfig
        /// The workloads whose pods start anew.
        package var restarted: [Located<WorkloadReference>]
        /// What is worth knowing about the change: objects to delete that were not there.
        package var notes: [Diagnostic]
    }

    /// Something laid over the mesh configuration that the cluster's objects give; the latest wins.
    private enum Overlay {
        case values(MeshConfig)
        /// An object applied after other values had been set: it wins over them as long as it exists.
        case object(ResourceID)
    }

    private let scenario: Scenario
    /// The next step; -1 stands for the manifests.
    private var position = -1
    private var resources = ResourceSet()
    private var overlays: [Overlay] = []

    package init(_ scenario: Scenario) { self.scenario = scenario }

    /// The cluster after the next change; nil after the last step.
    package mutating func next() -> Moment? {
        guard position < scenario.steps.count else { return nil }
        defer { position += 1 }
        guard position >= 0 else {
            for resource in scenario.manifests { resources.apply(resource) }
            overlays.append(.values(scenario.mesh))
            return moment(of: nil, notes: [])
        }
        let step = scenario.steps[position]
        var notes: [Diagnostic] = []
        for id in step.delete where !delete(id.value) {
            notes.append(
                Diagnostic(.note, "there is no \(id.value) to delete in step '\(step.name)'", at: id.location))
        }
        for resource in step.apply {
            resources.apply(resource)
            if resource is ConfigMap || resource is IstioOperator { overlays.append(.object(resource.id)) }
        }
        if let values = step.set { overlays.append(.values(values)) }
        return moment(of: step, notes: notes)
    }

    /// Removes an object, and with a namespace all that is in it; false when there was none.
    private mutating func delete(_ id: ResourceID) -> Bool {
        guard id.kind == Namespace.kind else { return resources.delete(id) }
        let contents = resources.all.filter { $0.metadata.namespace == id.name && $0.id.kind != Namespace.kind }
        for resource in contents { resources.delete(resource.id) }
        // A namespace that objects name exists, even where no manifest makes it.
        return resources.delete(id) || !contents.isEmpty
    }

    private func moment(of step: Step?, notes: [Diagnostic]) -> Moment {
        let (config, diagnostics) = meshConfig(of: resources)
        let root = config.rootNamespace ?? "istio-system"
        let mesh = overlays.reduce(config) { mesh, overlay in
            switch overlay {
            case .values(let values): mesh.overlaid(by: values)
            case .object(let id): values(of: id, root: root).map(mesh.overlaid) ?? mesh
            }
        }
        return Moment(
            step: step, resources: resources, mesh: mesh, restarted: step?.restart ?? [], notes: notes + diagnostics)
    }

    private func values(of id: ResourceID, root: String) -> MeshConfig? {
        if id.kind == IstioOperator.kind {
            return resources.resource(IstioOperator.self, id.namespace, id.name)?.meshConfig
        }
        return id.namespace == root ? resources.resource(ConfigMap.self, id.namespace, id.name)?.meshConfig : nil
    }
}
