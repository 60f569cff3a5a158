import Evidence
import Manifests
import Mesh
import NetworkAddresses
import Testing

@testable import Lab

@Suite("Policies and kernel compared")
struct PolicyComparisonTests {
    private static let yaml = """
        apiVersion: v1
        kind: Pod
        metadata: {name: a, labels: {app: a}}
        spec: {containers: [{name: main, image: main}]}
        ---
        apiVersion: v1
        kind: Pod
        metadata: {name: b, labels: {app: b}}
        spec: {containers: [{name: main, image: main}]}
        ---
        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: p}
        spec:
          podSelector: {matchLabels: {app: a}}
          policyTypes: [Egress]
          egress: [{to: [{podSelector: {}}], ports: [{port: 80}]}]
        """

    private func comparison() throws -> (PolicyComparison, a: IPAddress, b: IPAddress) {
        let resources = ManifestReader.read(text: Self.yaml, file: "x.yaml").value
        let location = SourceLocation(file: "scenario.yaml")
        var planner = LabPlanner(
            scenario: Scenario(
                name: "test", file: "scenario.yaml", location: location, manifests: resources,
                steps: [Step(name: "only", location: location)]))
        var set = ResourceSet()
        for resource in resources { set.apply(resource) }
        let (plan, _) = planner.plan(resources: set, mesh: MeshConfig())
        func address(_ name: String) throws -> IPAddress {
            try #require(plan.pods.first { $0.pod.id.name == name }?.pod.addresses.first)
        }
        return (
            PolicyComparison(plan: plan, names: LearntNames(nowMs: { 0 }, failed: { _ in })), try address("a"),
            try address("b")
        )
    }

    private func attempt(_ from: IPAddress, _ to: IPAddress, _ port: UInt16, isDropped: Bool) -> Attempt {
        let tuple = FiveTuple(.tcp, from: IPEndpoint(from, 40_000), to: IPEndpoint(to, port))
        var hop = Hop(tuple: tuple, isOutbound: false)
        if isDropped {
            hop.drops = [
                DropSeen(at: "node", tuple: tuple, direction: "egress", pod: "default/a", policies: [], timeMs: 1)
            ]
        } else {
            hop.served = [Served(stage: .accepted, at: "pod default/b", tuple: tuple, timeMs: 1)]
        }
        return Attempt(purpose: .exchange, hop: hop)
    }

    @Test("what both see alike is no finding")
    func agreement() throws {
        let (comparison, a, b) = try comparison()
        let attempts = [
            attempt(a, b, 80, isDropped: false), attempt(a, b, 81, isDropped: true),
            attempt(b, a, 81, isDropped: false),
        ]
        #expect(comparison.compare(attempts) == PolicyComparison.Finding())
    }

    @Test("a disagreement has both views, and is the scenario's error")
    func disagreement() throws {
        let (comparison, a, b) = try comparison()
        let passed = comparison.compare([attempt(a, b, 81, isDropped: false)]).disagreements
        #expect(passed.count == 1 && passed[0].contains("the node let it pass (it arrived at pod default/b)"))
        #expect(passed[0].contains("isolated by NetworkPolicy default/p, and no rule allows it"))
        let dropped = comparison.compare([attempt(a, b, 80, isDropped: true)]).disagreements
        #expect(dropped.count == 1 && dropped[0].contains("the node dropped it"))
        #expect(dropped[0].contains("allowed by NetworkPolicy default/p"))

        let flow = FlowResult(
            id: "f", from: "default/a", to: "tcp://default/b:80",
            expected: Expected(FlowExpectation(outcome: .denied)), passed: false, mismatches: dropped,
            observed: FlowResult.Observed(outcome: .denied), location: "scenario.yaml:1", disagreements: dropped)
        var scenario = ScenarioResult(
            name: "s", title: "", path: "", dataPlane: "bundled", result: .passed,
            steps: [StepResult(name: "only", flows: [flow])])
        scenario.conclude()
        #expect(scenario.result == .error)
        #expect(scenario.error?.hasPrefix("flow f: policies and kernel disagree:") == true)
        #expect(RunResult(scenarios: [scenario]).exitCode == 4)
    }
}
