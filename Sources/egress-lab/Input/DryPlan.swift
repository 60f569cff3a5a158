import Manifests
import Mesh

/// The plans of a scenario, made without a lab: for `render`, and to find what only planning finds.
struct DryPlan {
    /// A state of the cluster and its plan.
    struct Moment {
        /// nil: the manifests, before the first step.
        var step: Step?
        var plan: LabPlan
    }

    var moments: [Moment] = []
    var diagnostics: [Diagnostic] = []

    init(_ scenario: Scenario) {
        var planner = LabPlanner(scenario: scenario)
        for moment in ScenarioTimeline(scenario) {
            let (plan, diagnostics) = planner.plan(
                resources: moment.resources, mesh: moment.mesh, restarted: moment.restarted.map(\.value))
            moments.append(Moment(step: moment.step, plan: plan))
            for diagnostic in moment.notes + diagnostics where !self.diagnostics.contains(diagnostic) {
                self.diagnostics.append(diagnostic)
            }
        }
    }
}
