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
        help: ArgumentHelp("How many labs are run at a time. (default: as many as there are cores)", valueName: "n"))
    var jobs: Int?

    @Flag(help: "Start nothing more after the first scenario that did not pass.")
    var failFast = false

    func validate() throws {
        if let jobs, jobs < 1 { throw ValidationError("--jobs takes a number from 1") }
    }

    func run() async throws {
        // First what can be wrong with the input, then what can be wrong with the machine; only then is anything made.
        let format = try reports.check()
        let scenarios = try readScenarios()
        if let obstacle = Preflight().obstacle() {
            throw Failure(status: .cannotRun, message: obstacle)
        }
        let envoy = try findEnvoy(for: scenarios)
        try reports.prepare()
        let outcome = await runSuite(scenarios, envoy)
        try reports.write(outcome, format: format)
        throw ExitStatus(rawValue: outcome.result.exitCode) ?? .labFailed
    }

    private func readScenarios() throws -> [Scenario] {
        let found = ScenarioLocator.find(paths: paths)
        var read = ReadInputs(found.value.map { .scenario(file: $0) }, dataPlane: dataPlane)
        read.diagnostics = found.diagnostics + read.diagnostics
        try read.requireUsable()
        let scenarios = selection.selected(of: read.scenarios)
        // A part of few scenarios may be empty; a name that nothing has is a mistake.
        if scenarios.isEmpty, selection.shard == nil {
            throw Failure.input("no scenario of \(read.scenarios.count) matches --filter and --tag")
        }
        return scenarios
    }

    /// The program for those scenarios that ask for it; nil if none does.
    private func findEnvoy(for scenarios: [Scenario]) throws -> String? {
        guard scenarios.contains(where: { $0.dataPlane == .envoy }) else { return nil }
        do {
            return try EnvoyLocator(path: envoy).find()
        } catch {
            throw Failure(status: .cannotRun, message: "\(error)")
        }
    }

    private func runSuite(_ scenarios: [Scenario], _ envoy: String?) async -> SuiteOutcome {
        let progress = ProgressLine(total: scenarios.count)
        // Workers end with this process, and their labs with them.
        let watch = SignalWatch([SIGINT, SIGTERM]) { signal in
            progress.clear()
            Console.diagnose("egress-lab: interrupted; the labs are gone, and nothing is reported")
            _exit((signal == SIGINT ? ExitStatus.interrupted : .terminated).rawValue)
        }
        let suite = Suite(
            jobs: scenarios.map {
                SuiteJob(scenarioFile: $0.file, name: $0.name, dataPlane: $0.dataPlane, envoy: envoy)
            },
            parallelism: jobs ?? Self.defaultJobs, failFast: failFast)
        let outcome = await suite.run { progress.tell($0) }
        progress.clear()
        withExtendedLifetime(watch) {}
        return outcome
    }

    /// A lab is busy on one core; two at least, because it also waits.
    private static var defaultJobs: Int { max(2, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }
}

extension Scenario.DataPlaneKind: ExpressibleByArgument {}
