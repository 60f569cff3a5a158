package import Evidence
import Foundation
package import Manifests
import NIOConcurrencyHelpers

/// One scenario to run.
package struct SuiteJob: Codable, Sendable {
    /// Path of the scenario file.
    package var scenarioFile: String
    package var name: String
    package var dataPlane: Scenario.DataPlaneKind
    /// The program that runs as proxy, for data plane `envoy`.
    package var envoy: String?
    /// In place of a file: manifests alone.
    package var matrix: MadeUpMatrix?

    package init(
        scenarioFile: String, name: String, dataPlane: Scenario.DataPlaneKind = .bundled, envoy: String? = nil,
        matrix: MadeUpMatrix? = nil
    ) {
        self.scenarioFile = scenarioFile
        self.name = name
        self.dataPlane = dataPlane
        self.envoy = envoy
        self.matrix = matrix
    }
}

/// What happens while a suite runs.
package enum SuiteProgress: Sendable {
    case started(String)
    case step(scenario: String, step: String)
    case finished(ScenarioResult)
}

/// Text files that a scenario leaves for `--output`: each pod's rules, proxy configuration and access log.
package struct ScenarioArtifacts: Codable, Sendable {
    package var scenario: String
    /// By relative path.
    package var files: [String: String]

    package init(scenario: String, files: [String: String] = [:]) {
        self.scenario = scenario
        self.files = files
    }
}

package struct SuiteOutcome: Sendable {
    package var result: RunResult
    /// In the order of the jobs.
    package var artifacts: [ScenarioArtifacts]

    package init(result: RunResult, artifacts: [ScenarioArtifacts]) {
        self.result = result
        self.artifacts = artifacts
    }
}

/// Runs scenarios, each in a worker process of its own: a crash loses one scenario, and two labs share nothing.
package struct Suite: Sendable {
    package var jobs: [SuiteJob]
    /// How many workers run at a time.
    package var parallelism: Int
    /// Start nothing more after the first scenario that did not pass.
    package var failFast: Bool

    package init(jobs: [SuiteJob], parallelism: Int = 1, failFast: Bool = false) {
        self.jobs = jobs
        self.parallelism = max(parallelism, 1)
        self.failFast = failFast
    }

    /// Needs root. Results come in the order of the jobs; with `failFast` the rest is left out.
    package func run(progress: @escaping @Sendable (SuiteProgress) -> Void = { _ in }) async -> SuiteOutcome {
        let hasFailed = NIOLockedValueBox(false)
        var outcomes: [Int: WorkerOutcome] = [:]
        await withTaskGroup(of: (Int, WorkerOutcome?).self) { group in
            var next = 0
            func addNext() {
                guard next < jobs.count else { return }
                let index = next
                next += 1
                group.addTask {
                    if failFast, hasFailed.withLockedValue({ $0 }) { return (index, nil) }
                    progress(.started(jobs[index].name))
                    let outcome = await WorkerProcess(job: jobs[index]).run(progress: progress)
                    if outcome.result.result != .passed { hasFailed.withLockedValue { $0 = true } }
                    progress(.finished(outcome.result))
                    return (index, outcome)
                }
            }
            for _ in 0..<parallelism { addNext() }
            for await (index, outcome) in group {
                outcomes[index] = outcome
                addNext()
            }
        }
        let ordered = outcomes.sorted { $0.key < $1.key }.map(\.value)
        return SuiteOutcome(
            result: RunResult(scenarios: ordered.map(\.result)), artifacts: ordered.map(\.artifacts))
    }
}

/// What a worker hands back.
struct WorkerOutcome: Codable, Sendable {
    var result: ScenarioResult
    var artifacts: ScenarioArtifacts
}

/// One line of what a worker writes to its parent.
enum WorkerMessage: Codable, Sendable {
    case step(String)
    case outcome(WorkerOutcome)
}
