import Evidence
import Manifests

/// One thing that a scenario asked for and its answer, as test formats (TAP, JUnit) count them.
struct Check {
    enum Verdict: Equatable {
        case passed
        /// Something else was observed.
        case failed
        /// The lab failed or the evidence is incomplete: nothing is known.
        case error
    }

    var name: String
    var step: String
    var verdict: Verdict
    /// What the outcome rests on, in a sentence.
    var message: String
    /// Name and value of everything else worth knowing, in the order in which it is told.
    var details: [(name: String, values: [String])]
    var durationMs: Double
    /// What JUnit calls a failure of it.
    var failureType = "unexpected"

    /// All checks of a scenario, in the order in which they were made; a scenario's own failure is the last.
    static func all(of scenario: ScenarioResult) -> [Check] {
        var checks: [Check] = []
        for step in scenario.steps {
            checks += step.flows.map { Check($0, in: step.name) }
            checks += step.matrix.map { [Check($0, in: step.name)] } ?? []
            checks += step.commands.map { Check($0, in: step.name) }
            checks += step.assertions.map { Check($0, in: step.name) }
        }
        if scenario.result == .error, !checks.contains(where: { $0.verdict == .error }) {
            checks.append(
                Check(
                    name: "the lab of \(scenario.name)", step: "lab", verdict: .error,
                    message: scenario.error ?? "the lab failed", details: [("at", [scenario.path])],
                    durationMs: 0))
        }
        return checks
    }

    init(
        name: String, step: String, verdict: Verdict, message: String,
        details: [(name: String, values: [String])],
        durationMs: Double
    ) {
        self.name = name
        self.step = step
        self.verdict = verdict
        self.message = message
        self.details = details.filter { !$0.values.isEmpty }
        self.durationMs = durationMs
    }

    private init(_ flow: FlowResult, in step: String) {
        let observed = flow.observed
        let verdict: Verdict =
            if observed.outcome == .inconclusive { .error } else if flow.passed { .passed } else {
                .failed
            }
        self.init(
            name: "\(flow.id): \(flow.from) -> \(flow.to)", step: step, verdict: verdict,
            message: flow.mismatches.isEmpty ? observed.reason : flow.mismatches.joined(separator: "; "),
            details: [
                ("expected", [flow.expected.outcome.rawValue]),
                ("observed", [observed.outcome.rawValue]),
                ("by", observed.by.map { [$0.rawValue] } ?? []),
                ("path", observed.path),
                ("status", observed.status.map { ["\($0)"] } ?? []),
                ("error", observed.error.map { [$0] } ?? []),
                ("reason", observed.reason.isEmpty ? [] : [observed.reason]),
                ("technique", observed.technique.map { [$0] } ?? []),
                ("causes", observed.causes),
                ("at", [flow.location]),
            ],
            durationMs: observed.durationMs)
    }

    private init(_ matrix: MatrixResult, in step: String) {
        let headline = MatrixText(matrix: matrix, ink: Ink(isOn: false), isVerbose: false).headline
        let counts = matrix.summary
        self.init(
            name: "matrix of \(matrix.from.count) x \(matrix.to.count)", step: step,
            verdict: counts.inconclusive > 0 ? .error : matrix.passed ? .passed : .failed,
            message: matrix.differences.isEmpty || matrix.disagreements != nil
                ? headline : "\(matrix.differences.count) cells differ from the kept ones",
            details: [
                ("probes", matrix.tables.map(\.name)),
                ("reached", ["\(counts.reached)"]), ("denied", ["\(counts.denied)"]),
                ("failed", ["\(counts.failed)"]), ("inconclusive", ["\(counts.inconclusive)"]),
                ("disagreements", matrix.disagreements ?? []), ("differences", matrix.differences),
                ("at", [matrix.location]),
            ], durationMs: matrix.durationMs)
    }

    private init(_ command: CommandResult, in step: String) {
        self.init(
            name: "\(command.in) $ \(command.run)", step: step,
            verdict: command.passed ? .passed : .failed,
            message: command.mismatches.joined(separator: "; "),
            details: [
                ("exitCode", ["\(command.exitCode)"]),
                ("stdout", command.stdout.isEmpty ? [] : [command.stdout]),
                ("stderr", command.stderr.isEmpty ? [] : [command.stderr]),
                ("at", [command.location]),
            ],
            durationMs: command.durationMs)
    }

    private init(_ assertion: AssertionResult, in step: String) {
        self.init(
            name: assertion.message, step: step, verdict: assertion.passed ? .passed : .failed,
            message: assertion.message, details: [("at", [assertion.location])], durationMs: 0)
    }
}
