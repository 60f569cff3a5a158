import Control
import Evidence
import Foundation
import Lab
package import Manifests
import Mesh
import NIOPosix
import Synchronization

/// A lab that stays up: the cluster's objects, and the running lab that follows them change by change.
package actor StandingLab {
    package nonisolated let scenario: Scenario
    nonisolated let lab: RunningLab
    nonisolated let ledger: CallLedger
    private nonisolated let turns = Turns()

    private(set) var state: ClusterState
    private(set) var plan: LabPlan
    private var planner: LabPlanner
    /// Objects that were applied and do not matter here.
    var irrelevant: Set<IrrelevantObject> = []
    /// What has been said of the cluster as it is; it is not said at every change again.
    private var known: Set<Diagnostic> = []
    /// When each object was first applied.
    private var births: [ResourceID: Date] = [:]
    nonisolated let startedAt = Date()

    /// Builds the lab of a scenario's manifests; when it returns, everything is in force.
    package static func start(_ scenario: Scenario, envoy: String?) async throws -> StandingLab {
        let state = ClusterState(scenario)
        var planner = LabPlanner(scenario: scenario, mayGrow: true)
        let (mesh, notes) = state.mesh()
        let (plan, diagnostics) = planner.plan(resources: state.resources, mesh: mesh)
        if let problem = Refusal(of: notes + diagnostics) { throw problem }
        let ledger = CallLedger()
        let lab = try RunningLab(
            of: plan, group: MultiThreadedEventLoopGroup.singleton, dataPlane: scenario.dataPlane, envoy: envoy,
            hasPrograms: scenario.images.contains(where: \.isCommand),
            hasTelemetry: scenario.compatibility == .istio10, observer: ledger.record)
        try await lab.update(to: plan)
        return StandingLab(scenario, state, planner, plan, lab, ledger, known: Set(notes + diagnostics))
    }

    private init(
        _ scenario: Scenario, _ state: ClusterState, _ planner: LabPlanner, _ plan: LabPlan, _ lab: RunningLab,
        _ ledger: CallLedger, known: Set<Diagnostic>
    ) {
        self.known = known
        self.scenario = scenario
        self.state = state
        self.planner = planner
        self.plan = plan
        self.lab = lab
        self.ledger = ledger
        ledger.follow(plan)
    }

    /// What is about to change.
    struct Draft {
        var state: ClusterState
        /// The plan that is in force.
        let plan: LabPlan
        /// The workloads and pods that start anew.
        var restarted: [WorkloadReference] = []
        /// What is to be said besides.
        var notes: [Diagnostic] = []
    }

    /// Carries out a change, one after the other: when it returns, every proxy and node follows it. A change that is
    /// refused, by `edit` or for what planning finds, leaves everything as it was.
    func change<Value: Sendable>(
        _ edit: @Sendable (inout Draft) throws -> Value
    ) async throws -> (value: Value, notes: [Diagnostic]) {
        try await turns.take()
        defer { turns.give() }
        var draft = Draft(state: state, plan: plan)
        let value = try edit(&draft)
        let (mesh, notes) = draft.state.mesh()
        var planner = planner
        let (plan, diagnostics) = planner.plan(
            resources: draft.state.resources, mesh: mesh, restarted: draft.restarted)
        let told = draft.notes + notes + diagnostics
        if let problem = Refusal(of: told) { throw problem }
        try await lab.update(to: plan)
        self.planner = planner
        self.plan = plan
        state = draft.state
        ledger.follow(plan)
        let now = Date()
        births = Dictionary(state.resources.all.map { ($0.id, births[$0.id] ?? now) }) { first, _ in first }
        let news = told.filter { $0.severity > .note && !known.contains($0) }
        known = Set(told)
        return (value, news)
    }

    func age(of id: ResourceID) -> Date { births[id] ?? startedAt }

    /// A failure of the lab itself, as soon as there is one.
    package nonisolated func failure() async -> any Error { await lab.failures.first() }

    package func stop() async { await lab.stop() }
}

/// Why a change was not made.
package struct Refusal: Error, Sendable {
    package var message: String
    /// As in the command line's exit statuses: 1 for what kubectl answers with an error, 2 for wrong manifests.
    package var status: Int32

    init(_ message: String, status: Int32 = 1) {
        self.message = message
        self.status = status
    }

    /// nil where nothing forbids to go on.
    init?(of diagnostics: [Diagnostic]) {
        guard diagnostics.contains(where: { $0.severity >= .unsupported }) else { return nil }
        self.init(
            diagnostics.filter { $0.severity > .note }.map(\.description).joined(separator: "\n"), status: 2)
    }
}

/// Lets one task at a time go on, in the order in which they came.
final class Turns: Sendable {
    private struct State {
        var isTaken = false
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())

    /// Waits for its turn; throws if the task was cancelled before it came.
    func take() async throws {
        await withCheckedContinuation { continuation in
            let isFree = state.withLock { state in
                if state.isTaken {
                    state.waiting.append(continuation)
                    return false
                }
                state.isTaken = true
                return true
            }
            if isFree { continuation.resume() }
        }
        if Task.isCancelled {
            give()
            throw CancellationError()
        }
    }

    func give() {
        let next = state.withLock { state in
            guard !state.waiting.isEmpty else {
                state.isTaken = false
                return nil as CheckedContinuation<Void, Never>?
            }
            return state.waiting.removeFirst()
        }
        next?.resume()
    }
}
