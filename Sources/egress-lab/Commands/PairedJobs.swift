import Evidence
import Lab
import Manifests

/// Scenarios that are run twice, on two data planes: a left and a right side each.
struct PairedJobs {
    /// Left and right in turn, so that the two sides of a scenario meet the same load.
    let jobs: [SuiteJob]

    /// On the left what each scenario says, on the right `other`.
    init(_ scenarios: [Scenario], with other: Scenario.DataPlaneKind, envoy: String?) {
        jobs = scenarios.flatMap { scenario in
            [scenario.dataPlane, other].map { SuiteJob(scenario, on: $0, envoy: envoy) }
        }
    }

    /// What the sides' results say of each other.
    func outcome(of suite: SuiteOutcome) -> ComparisonOutcome {
        let indexes = stride(from: 0, to: suite.result.scenarios.count - 1, by: 2)
        func side(_ offset: Int) -> SuiteOutcome {
            SuiteOutcome(
                result: RunResult(scenarios: indexes.map { suite.result.scenarios[$0 + offset] }),
                artifacts: indexes.map { suite.artifacts[$0 + offset] })
        }
        let (left, right) = (side(0), side(1))
        let comparisons = zip(left.result.scenarios, right.result.scenarios).map { ResultComparison().compare($0, $1) }
        return ComparisonOutcome(left: left, right: right, comparison: RunComparison(scenarios: comparisons))
    }
}

/// Two runs of the same scenarios, and what was found by holding them against each other.
struct ComparisonOutcome {
    var left: SuiteOutcome
    var right: SuiteOutcome
    var comparison: RunComparison
}

extension SuiteJob {
    init(
        _ scenario: Scenario, on dataPlane: Scenario.DataPlaneKind, envoy: String?, matrix: MadeUpMatrix? = nil
    ) {
        self.init(
            scenarioFile: scenario.file, name: scenario.name, dataPlane: dataPlane, envoy: envoy, matrix: matrix)
    }
}
