import Envoy
import Evidence
import Foundation
import Manifests
import Mesh
import NIOCore
import NIOPosix
import NetworkAddresses
import Nftables
import Proxy
import ProxyModel

/// Takes a lab through a scenario's steps and collects the results.
struct ScenarioRunner: Sendable {
    let scenario: Scenario
    /// The program for data plane `envoy`.
    var envoy: String?
    var onStep: @Sendable (String) -> Void = { _ in }

    /// How many flows of a step are under way at once.
    static let flowsAtOnce = 128

    func run() async -> WorkerOutcome {
        let started = ContinuousClock.now
        let progress = ScenarioProgress(
            ScenarioResult(
                name: scenario.name, title: scenario.title, path: scenario.file,
                dataPlane: scenario.dataPlane.rawValue, result: .passed))
        let group = MultiThreadedEventLoopGroup(numberOfThreads: System.coreCount)
        // Whichever comes first: the scenario's end, or that of something that it needs. What is under way then may wait
        // for what will never come; it ends with this process.
        let (ends, end) = AsyncStream.makeStream(of: (any Error)?.self)
        let work = Task {
            do {
                try await run(progress, on: group) { lab in
                    Task { end.yield(await lab.failures.first()) }
                }
                end.yield(nil)
            } catch {
                end.yield(error)
            }
        }
        var iterator = ends.makeAsyncIterator()
        let failure = await iterator.next() ?? nil
        if let failure {
            work.cancel()
            progress.update { $0.error = "\(failure)" }
        }
        if let lab = progress.lab { progress.set(files: await artifacts(of: lab, progress.steps)) }
        if failure == nil { await tearDown(progress) }
        return progress.outcome(after: ContinuousClock.now - started)
    }

    private func tearDown(_ progress: ScenarioProgress) async {
        let start = ContinuousClock.now
        await progress.lab?.stop()
        progress.update { $0.timings.tearDownMs = (ContinuousClock.now - start) / .milliseconds(1) }
    }

    private func run(
        _ progress: ScenarioProgress, on group: any EventLoopGroup, onLab: (RunningLab) -> Void
    ) async throws {
        var planner = LabPlanner(scenario: scenario)
        var held: [(step: Int, position: Int, flow: HeldFlow)] = []
        for (number, moment) in ScenarioTimeline(scenario).enumerated() {
            if let step = moment.step { onStep(step.name) }
            let renewed = moment.step.map { initContainerReferences($0, moment.resources) } ?? []
            let planStart = ContinuousClock.now
            let (plan, diagnostics) = planner.plan(
                resources: moment.resources, mesh: moment.mesh, restarted: moment.restarted.map(\.value) + renewed)
            progress.update { $0.timings.planMs += (ContinuousClock.now - planStart) / .milliseconds(1) }
            if let problem = diagnostics.first(where: { $0.severity >= .unsupported }) {
                throw LabError(problem.description)
            }
            progress.update { result in
                for assumption in plan.assumptions where !result.assumptions.contains(assumption) {
                    result.assumptions.append(assumption)
                }
            }

            let setUpStart = ContinuousClock.now
            let lab = try progress.lab ?? makeLab(plan, on: group, onLab)
            progress.set(lab: lab)
            let earlier = await lab.allPods
            try await lab.update(to: plan, holdingBack: heldBack(renewed, in: plan))
            progress.update { $0.timings.setUpMs += (ContinuousClock.now - setUpStart) / .milliseconds(1) }

            if let step = moment.step {
                let trafficStart = ContinuousClock.now
                progress.update { $0.steps.append(StepResult(name: step.name)) }
                let (stepResult, open) = try await carryOut(step, plan, lab, earlier) { verdict in
                    // Should the lab break down before the step is over, this much is known.
                    progress.update { $0.steps[number - 1].flows.append(verdict) }
                }
                // The first moment is that before the first step.
                held += open.map { (number - 1, $0.position, $0.flow) }
                progress.update { result in
                    result.steps[number - 1] = stepResult
                    result.timings.trafficMs += (ContinuousClock.now - trafficStart) / .milliseconds(1)
                }
            }
        }
        // Connections that were held up to now are reported where they began.
        for (step, position, flow) in held {
            let verdict = await flow.end()
            progress.update { $0.steps[step].flows[position] = verdict }
        }
        try await progress.lab?.settle()
    }

    private func makeLab(
        _ plan: LabPlan, on group: any EventLoopGroup, _ onLab: (RunningLab) -> Void
    ) throws -> RunningLab {
        let lab = try RunningLab(
            of: plan, group: group, dataPlane: scenario.dataPlane, envoy: envoy,
            hasPrograms: scenario.images.contains(where: \.isCommand),
            hasTelemetry: scenario.compatibility == .istio10)
        onLab(lab)
        return lab
    }

    // MARK: A step

    /// The second value: flows whose connections are still open, with their places among the step's results.
    ///
    /// - Parameters:
    ///   - earlier: the pods from before the step.
    ///   - onVerdict: gets what is concluded of each flow, in the order in which they end.
    private func carryOut(
        _ step: Step, _ plan: LabPlan, _ lab: RunningLab, _ earlier: [RunningPod],
        onVerdict: (FlowResult) -> Void
    ) async throws -> (StepResult, [(position: Int, flow: HeldFlow)]) {
        var result = StepResult(name: step.name, choices: ProxyChoices(plan: plan).sets)
        let recordsBefore = await recordCounts(lab, of: earlier, withLines: step.asksForLines)
        let runner = FlowRunner(
            lab: lab, enforcement: scenario.enforcement, dns: plan.dns, policies: plan)

        // Init containers first: that is when they run, and a held-back pod has no rules until they have.
        let early = step.flows.filter { isFromInitContainer($0, plan) }
        var verdicts: [String: FlowResult] = [:]
        func conclude(_ flow: Flow, _ verdict: FlowResult) {
            verdicts[flow.id] = verdict
            onVerdict(verdict)
        }
        for flow in early { conclude(flow, await runner.run(flow)) }
        for pod in plan.pods { try await lab.finishStart(pod.pod.id) }

        let rest = step.flows.filter { flow in !early.contains { $0.id == flow.id } }
        var held: [String: HeldFlow] = [:]
        await withTaskGroup(of: HeldFlow.self) { group in
            var waiting = rest.makeIterator()
            // What proxies don't tell has one possible cause as long as one flow is under way.
            for _ in 0..<(lab.untold == nil ? Self.flowsAtOnce : 1) {
                if let flow = waiting.next() { group.addTask { await runner.begin(flow) } }
            }
            for await begun in group {
                if begun.flow.hold == nil {
                    conclude(begun.flow, await begun.result())
                } else {
                    held[begun.flow.id] = begun
                }
                if let flow = waiting.next() { group.addTask { await runner.begin(flow) } }
            }
        }
        // A held flow's place is taken until it is judged.
        result.flows = step.flows.compactMap { verdicts[$0.id] ?? FlowResult(unfinished: $0) }
        let open = step.flows.enumerated().compactMap { position, flow in held[flow.id].map { (position, $0) } }

        if let matrix = step.matrix {
            let asker = MatrixRunner(
                lab: lab, plan: plan, flows: runner, flowsAtOnce: lab.untold == nil ? Self.flowsAtOnce : 1)
            result.matrix = try await asker.run(matrix)
        }

        let directory = URL(fileURLWithPath: scenario.file).deletingLastPathComponent().path
        let commands = CommandRunner(lab: lab, dns: plan.dns, directory: directory)
        let openBefore = lab.recorder.openConnections
        for command in step.commands { result.commands.append(await commands.run(command)) }
        try await lab.settle()
        if !step.commands.isEmpty {
            // A program ends before its sidecar has written what it knows of it.
            await lab.recorder.settle(except: openBefore, within: .seconds(2), on: lab.group.next())
        }

        let assertions = AssertionRunner(lab: lab, recordsBefore: recordsBefore)
        for assertion in step.assertions { result.assertions.append(await assertions.check(assertion)) }
        return (result, open)
    }

    /// Where the logs stand, but of new pods: what those do from their start on is of this step.
    private func recordCounts(
        _ lab: RunningLab, of earlier: [RunningPod], withLines: Bool
    ) async -> [String: LogPosition] {
        var counts: [String: LogPosition] = [:]
        if let telemetry = lab.telemetry {
            counts[MixerTelemetry.name] = LogPosition(records: telemetry.records.count)
        }
        for pod in await lab.allPods where earlier.contains(where: { $0 === pod }) {
            for (name, log) in pod.logs {
                counts[name] = LogPosition(
                    records: log.entries().count,
                    // Records of times without a log have no lines.
                    lines: log.hasOtherLines || withLines ? log.lines().count : nil)
            }
        }
        return counts
    }

    // MARK: Init containers

    /// The workloads whose init containers send flows in this step: their pods start anew for it.
    private func initContainerReferences(_ step: Step, _ resources: ResourceSet) -> [WorkloadReference] {
        let specifications =
            resources.resources(Workload.self).map { ($0.metadata, $0.template.spec) }
            + resources.resources(Pod.self).map { ($0.metadata, $0.spec) }
        var references: [WorkloadReference] = []
        for flow in step.flows {
            guard case .workload(let reference) = flow.from, let container = reference.container,
                specifications.contains(where: { metadata, spec in
                    metadata.namespace == reference.namespace && metadata.name == reference.name
                        && spec.initContainers.contains { $0.name == container }
                })
            else { continue }
            let workload = WorkloadReference(namespace: reference.namespace, name: reference.name)
            if !references.contains(workload) { references.append(workload) }
        }
        return references
    }

    private func heldBack(_ references: [WorkloadReference], in plan: LabPlan) -> Set<PodID> {
        Set(
            plan.pods.map(\.pod)
                .filter { pod in
                    pod.capture?.startOrder == .classic
                        && references.contains {
                            $0.namespace == pod.id.namespace && ($0.name == pod.workload || $0.name == pod.id.name)
                        }
                }
                .map(\.id))
    }

    private func isFromInitContainer(_ flow: Flow, _ plan: LabPlan) -> Bool {
        guard case .workload(let reference) = flow.from, let container = reference.container else { return false }
        return plan.pods.contains { planned in
            planned.pod.id.namespace == reference.namespace
                && (planned.pod.workload == reference.name || planned.pod.id.name == reference.name)
                && planned.pod.spec.initContainers.contains { $0.name == container }
        }
    }

    // MARK: Artifacts

    private func artifacts(of lab: RunningLab, _ steps: [StepResult]) async -> [String: String] {
        var files: [String: String] = [:]
        for (number, step) in steps.enumerated() {
            // As a later run takes it: `expect: matrix-1.txt`.
            if let matrix = step.matrix { files["matrix-\(number + 1).txt"] = matrix.kept.text }
        }
        // A pod without rules has its file too: that it is empty is worth knowing.
        for (place, ruleset) in await lab.installedRulesets {
            files["\(place)/ruleset.nft"] = ruleset.text
        }
        if let telemetry = lab.telemetry {
            files["\(MixerTelemetry.name)/mixer.log"] = telemetry.records.map { $0.line + "\n" }.joined()
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        for pod in await lab.allPods {
            for (container, program) in pod.programs {
                files["\(pod.id)/\(container).log"] = program.lines().map { $0 + "\n" }.joined()
            }
            guard let configuration = pod.plan.proxy, let proxy = pod.proxy else { continue }
            if let data = try? encoder.encode(configuration) {
                files["\(pod.id)/proxy.json"] = String(decoding: data, as: UTF8.self) + "\n"
            }
            if scenario.dataPlane == .envoy {
                files["\(pod.id)/envoy.json"] = try? EnvoyBootstrap(configuration).json
            }
            files["\(pod.id)/access.log"] = proxy.accessLogLines().map { $0.hasSuffix("\n") ? $0 : $0 + "\n" }.joined()
        }
        return files
    }
}

extension Step {
    /// Whether an assertion is about lines, and not about records alone.
    fileprivate var asksForLines: Bool {
        assertions.contains { if case .logLine = $0.check { true } else { false } }
    }
}
