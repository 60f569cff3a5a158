import Evidence
import Foundation
import Lab
import Manifests
import Mesh
import NIOCore
import NIOPosix
import Netlink
import NetworkAddresses

/// A lab of a dump.
struct DumpLab {
    let lab: RunningLab
    let plan: LabPlan

    /// The plan of a dump without a scenario.
    static func plan(_ dump: ClusterDump) throws -> LabPlan { try plan(dump.yaml) }

    static func plan(_ yaml: String) throws -> LabPlan {
        var (planner, resources, mesh) = try planner(yaml)
        return planner.plan(resources: resources, mesh: mesh).0
    }

    /// What plans a dump, and the objects in it.
    static func planner(_ yaml: String) throws -> (LabPlanner, ResourceSet, MeshConfig) {
        let read = ManifestReader.read(text: yaml, file: "dump.yaml")
        let scenario = Scenario(
            name: "dump", file: "dump.yaml", location: SourceLocation(file: "dump.yaml"), enforcement: .none,
            manifests: read.value)
        var timeline = ScenarioTimeline(scenario)
        guard read.isUsable, let moment = timeline.next() else { throw BenchmarkError("\(read.diagnostics)") }
        return (LabPlanner(scenario: scenario), moment.resources, moment.mesh)
    }

    init(_ plan: LabPlan) async throws {
        self.plan = plan
        lab = try RunningLab(
            plan: plan, group: MultiThreadedEventLoopGroup(numberOfThreads: System.coreCount))
        try await lab.update(to: plan)
    }

    func ask(_ probes: [MatrixProbe], to: [Matrix.End] = [.all]) async throws -> MatrixResult {
        let flows = FlowRunner(lab: lab, enforcement: .none, dns: plan.dns, policies: plan)
        let matrix = Matrix(to: to, probes: probes, location: SourceLocation(file: "bench"))
        let result = try await MatrixRunner(lab: lab, plan: plan, flows: flows, flowsAtOnce: 64).run(matrix)
        guard result.summary.inconclusive == 0 else { throw BenchmarkError("\(result.summary)") }
        return result
    }
}

/// Who can reach whom in a cluster of the usual size, from the dump's text to the last cell.
struct DumpMatrixBenchmark: Benchmark {
    var name: String { "matrix of 300 pods, 60 policies, 2 ports" }
    var repetitions: Int { 1 }
    var rival: String { "10 s a denied pair" }
    var reach: Limit? { .atMost(60) }
    var unit: Unit { .seconds }

    func measure() async throws -> Double {
        let started = ContinuousClock.now
        let lab = try await DumpLab(DumpLab.plan(ClusterDump(pods: 300, namespaces: 20, policies: 60)))
        let result = try await lab.ask([MatrixProbe(.tcp, 80), MatrixProbe(.tcp, 443)])
        guard result.summary.probes >= 180_000 else { throw BenchmarkError("\(result.summary)") }
        return (ContinuousClock.now - started) / .seconds(1)
    }
}

/// How many pairs a second are asked, where all are allowed or all denied.
struct MatrixRateBenchmark: Benchmark {
    let isDenied: Bool
    var name: String { "matrix, \(isDenied ? "denied" : "allowed") TCP pairs of 100 pods" }
    var floor: String { isDenied ? "140000/s" : "34000/s" }
    var rival: String { isDenied ? "1.5/s (cyclonus)" : "-" }
    var reach: Limit? { .atLeast(10_000) }
    var unit: Unit { .perSecond }

    func measure() async throws -> Double {
        var dump = ClusterDump(pods: 100, namespaces: 1, policies: 0).yaml
        if isDenied {
            dump += """
                - {apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: deny, namespace: ns-0},
                   spec: {podSelector: {}, policyTypes: [Ingress, Egress]}}

                """
        }
        let lab = try await DumpLab(DumpLab.plan(dump))
        let result = try await lab.ask([MatrixProbe(.tcp, 80)], to: [.namespace("ns-0")])
        let expected = isDenied ? result.summary.denied : result.summary.reached
        guard expected >= 9_900 else { throw BenchmarkError("\(result.summary)") }
        return Double(result.summary.probes) / (result.durationMs / 1000)
    }
}

/// A lab of a thousand pods, with policies or without.
struct PolicySetUpBenchmark: Benchmark {
    let policies: Int
    var name: String { "plan and set up 1000 pods, \(policies) policies" }
    var repetitions: Int { 3 }
    var unit: Unit { .seconds }

    func measure() async throws -> Double {
        let started = ContinuousClock.now
        let plan = try DumpLab.plan(ClusterDump(pods: 1000, namespaces: 20, policies: policies))
        let lab = try await DumpLab(plan)
        return withExtendedLifetime(lab) { (ContinuousClock.now - started) / .seconds(1) }
    }
}
