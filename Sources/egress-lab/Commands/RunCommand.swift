import ArgumentParser
import Envoy
import Evidence
import Glibc
import Lab
import Manifests
import Reports

/// `run PATH…`: builds the labs of scenarios, sends their flows, and reports what became of them.
struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Runs scenarios and reports which flows were allowed, denied or escaped.")

    @Argument(help: "Scenario files, directories with a scenario.yaml, or trees of them.", completion: .file())
    var paths: [String]

    @OptionGroup(title: "Selection")
    var selection: Selection

    @OptionGroup(title: "Matrix")
    var matrix: MatrixArguments

    @OptionGroup(title: "Reports")
    var reports: ReportArguments

    @Option(
        help: ArgumentHelp(
            "What runs as proxies, whatever the scenarios say: bundled or envoy.",
            valueName: "name"))
    var dataPlane: Scenario.DataPlaneKind?

    @Option(
        help: ArgumentHelp(
            "The program for data plane envoy. (default: $EGRESS_LAB_ENVOY, envoy in the PATH, what `make setup-envoy` installed)",
            valueName: "path"))
    var envoy: String?

    @Option(
        help: ArgumentHelp(
            "Run each scenario on this data plane too, and report every difference.", valueName: "name"))
    var compare: Scenario.DataPlaneKind?

    @Option(
        help: ArgumentHelp("How many labs are run at a time. (default: as many as there are cores)", valueName: "n"))
    var jobs: Int?

    @Flag(help: "Start nothing more after the first scenario that did not pass.")
    var failFast = false

    func validate() throws {
        if let jobs, jobs < 1 { throw ValidationError("--jobs takes a number from 1") }
        if matrix.isAsked, compare != nil { throw ValidationError("--matrix and --compare don't go together") }
        try matrix.check()
        if failFast, compare != nil { throw ValidationError("--compare needs all scenarios: leave --fail-fast out") }
    }

    func run() async throws {
        // First what can be wrong with the input, then what can be wrong with the machine; only then is anything made.
        let format = try reports.check()
        let scenarios = try readScenarios()
        if let obstacle = Preflight().obstacle() {
            throw Failure(status: .cannotRun, message: obstacle)
        }
        let envoy = try findEnvoy(for: scenarios)
        try findPrograms(of: scenarios)
        try reports.prepare()
        let exitCode: Int32
        if let compare {
            let pairs = PairedJobs(scenarios, with: compare, envoy: envoy)
            let outcome = pairs.outcome(of: await runSuite(pairs.jobs))
            try reports.write(outcome, format: format)
            exitCode = outcome.comparison.exitCode
        } else {
            let outcome = await runSuite(
                scenarios.map { SuiteJob($0, on: $0.dataPlane, envoy: envoy, matrix: matrix.madeUp(of: paths)) })
            try reports.write(outcome, format: format)
            exitCode = outcome.result.exitCode
        }
        throw ExitStatus(rawValue: exitCode) ?? .labFailed
    }

    private func readScenarios() throws -> [Scenario] {
        if let madeUp = matrix.madeUp(of: paths) {
            let read = ReadInputs(madeUp, dataPlane: dataPlane)
            try read.requireUsable()
            return read.scenarios
        }
        let found = ScenarioLocator.find(paths: paths)
        var read = ReadInputs(found.value.map { .scenario(file: $0) }, dataPlane: dataPlane)
        read.diagnostics = found.diagnostics + read.diagnostics
        if let compare {
            // What only the other data plane can't do is wrong input, too, and told before anything is made.
            let other = ReadInputs(found.value.map { .scenario(file: $0) }, dataPlane: compare)
            read.diagnostics += other.diagnostics.filter { !read.diagnostics.contains($0) }
        }
        try read.requireUsable()
        let scenarios = selection.selected(of: read.scenarios)
        // A part of few scenarios may be empty; a name that nothing has is a mistake.
        if scenarios.isEmpty, selection.shard == nil {
            throw Failure.input("no scenario of \(read.scenarios.count) matches --filter, --tag and --skip-tag")
        }
        return scenarios
    }

    /// The program for those scenarios that are run on it; nil if none is.
    private func findEnvoy(for scenarios: [Scenario]) throws -> String? {
        guard compare == .envoy || scenarios.contains(where: { $0.dataPlane == .envoy }) else { return nil }
        do {
            return try EnvoyLocator(path: envoy).find()
        } catch {
            throw Failure(status: .cannotRun, message: "\(error)")
        }
    }

    /// Programs that stand in for containers' images.
    private func findPrograms(of scenarios: [Scenario]) throws {
        do {
            for scenario in scenarios { try ProgramLocator().check(scenario) }
        } catch {
            throw Failure(status: .cannotRun, message: "\(error)")
        }
    }

    private func runSuite(_ suiteJobs: [SuiteJob]) async -> SuiteOutcome {
        let progress = ProgressLine(total: suiteJobs.count)
        // Workers end with this process, and their labs with them.
        let watch = SignalWatch([SIGINT, SIGTERM]) { signal in
            progress.clear()
            Console.diagnose("egress-lab: interrupted; the labs are gone, and nothing is reported")
            _exit((signal == SIGINT ? ExitStatus.interrupted : .terminated).rawValue)
        }
        let suite = Suite(
            jobs: suiteJobs, parallelism: jobs ?? Self.defaultJobs, failFast: failFast)
        let outcome = await suite.run { progress.tell($0) }
        progress.clear()
        withExtendedLifetime(watch) {}
        return outcome
    }

    /// A lab is busy on one core; two at least, because it also waits.
    private static var defaultJobs: Int { max(2, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }
}

extension Scenario.DataPlaneKind: ExpressibleByArgument {}
