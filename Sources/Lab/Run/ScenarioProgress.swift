import Evidence
import NIOConcurrencyHelpers

/// How far a scenario has come; what is known counts, however it ends.
final class ScenarioProgress: Sendable {
    private struct State {
        var result: ScenarioResult
        var artifacts: ScenarioArtifacts
        var lab: RunningLab?
    }

    private let state: NIOLockedValueBox<State>

    init(_ result: ScenarioResult) {
        state = NIOLockedValueBox(State(result: result, artifacts: ScenarioArtifacts(scenario: result.name)))
    }

    func update(_ body: (inout ScenarioResult) -> Void) { state.withLockedValue { body(&$0.result) } }

    /// The results of the steps so far.
    var steps: [StepResult] { state.withLockedValue { $0.result.steps } }

    var lab: RunningLab? { state.withLockedValue { $0.lab } }
    func set(lab: RunningLab) { state.withLockedValue { $0.lab = lab } }
    func set(files: [String: String]) { state.withLockedValue { $0.artifacts.files = files } }

    func outcome(after duration: Duration) -> WorkerOutcome {
        state.withLockedValue { state in
            state.result.durationMs = duration / .milliseconds(1)
            state.result.conclude()
            return WorkerOutcome(result: state.result, artifacts: state.artifacts)
        }
    }
}
