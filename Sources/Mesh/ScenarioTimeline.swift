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

    private let scenario: Scenario
    /// The next step; -1 stands for the manifests.
    private var position = -1
    private var state: ClusterState

    package init(_ scenario: Scenario) {
        self.scenario = scenario
        state = ClusterState(scenario)
    }

    /// The cluster after the next change; nil after the last step.
    package mutating func next() -> Moment? {
        guard position < scenario.steps.count else { return nil }
        defer { position += 1 }
        guard position >= 0 else { return moment(of: nil, notes: []) }
        let step = scenario.steps[position]
        var notes: [Diagnostic] = []
        for id in step.delete where !state.delete(id.value) {
            notes.append(
                Diagnostic(.note, "there is no \(id.value) to delete in step '\(step.name)'", at: id.location))
        }
        for resource in step.apply { state.apply(resource) }
        if let values = step.set { state.set(values) }
        return moment(of: step, notes: notes)
    }

    private func moment(of step: Step?, notes: [Diagnostic]) -> Moment {
        let (mesh, diagnostics) = state.mesh()
        return Moment(
            step: step, resources: state.resources, mesh: mesh, restarted: step?.restart ?? [],
            notes: notes + diagnostics)
    }
}
