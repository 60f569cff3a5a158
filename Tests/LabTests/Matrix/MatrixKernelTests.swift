import Evidence
import Foundation
import Manifests
import Mesh
import NIOPosix
import NetworkAddresses
import TestSupport
import Testing

@testable import Lab

@Suite("A matrix in the kernel", .requiresRoot)
struct MatrixKernelTests {
    /// What a scenario's matrices find.
    private func matrices(_ manifests: String, _ steps: String, spec: String = "") async throws -> [MatrixResult] {
        let folder = FileManager.default.temporaryDirectory.appending(path: "matrix-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = folder.appending(path: "scenario.yaml")
        try Data(manifests.utf8).write(to: folder.appending(path: "cluster.yaml"))
        let text = """
            apiVersion: egress-lab.dev/v1
            kind: Scenario
            metadata: {name: matrix}
            spec:
              enforcement: none
              manifests: [cluster.yaml]
              \(spec)
              steps: \(steps)
            """
        try Data(text.utf8).write(to: file)
        let read = ScenarioReader.read(path: file.path)
        #expect(read.isUsable, "\(read.diagnostics)")
        let scenario = try #require(read.value)
        let outcome = await ScenarioRunner(scenario: scenario).run()
        #expect(outcome.result.error == nil)
        return outcome.result.steps.compactMap(\.matrix)
    }

    private static func pod(_ name: String, _ labels: String = "{}", spec: String = "") -> String {
        """
        apiVersion: v1
        kind: Pod
        metadata: {name: \(name), labels: \(labels)}
        spec:
          containers: [{name: main, image: main, ports: [{containerPort: 80}]}]
          \(spec)
        ---

        """
    }

    private static let policy = """
        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: shut}
        spec:
          podSelector: {matchLabels: {app: shut}}
          policyTypes: [Ingress]
          ingress: [{from: [{podSelector: {matchLabels: {app: friend}}}], ports: [{port: 80}]}]
        ---

        """

    @Test("reached is what arrived, denied what was dropped, over TCP and UDP and in both families")
    func tables() async throws {
        let manifests =
            Self.pod("friend", "{app: friend}") + Self.pod("other") + Self.pod("shut", "{app: shut}") + Self.policy
        let steps = """
            [{name: all, matrix: {ports: [80, 81], protocols: [TCP, UDP]}}, {name: six, matrix: {ports: [80], family: IPv6}}]
            """
        let found = try await matrices(manifests, steps)
        #expect(found.count == 2)
        #expect(found[0].from.map(\.name) == ["default/friend", "default/other", "default/shut"])
        #expect(found[0].to.last?.name == "internet")
        #expect(found[0].tables.map(\.name) == ["TCP 80", "TCP 81", "UDP 80", "UDP 81"])
        #expect(found[0].tables[0].rows == ["....", "..X.", "...."])
        for table in found[0].tables[1...] { #expect(table.rows == ["..X.", "..X.", "...."]) }
        #expect(found[1].tables[0].rows == found[0].tables[0].rows)
        #expect(found[0].denials.map(\.count).reduce(0, +) == found[0].summary.denied)
    }

    @Test("a pod without an address of the family is neither reached nor denied")
    func families() async throws {
        let four = "securityContext: {sysctls: [{name: net.ipv6.conf.all.disable_ipv6, value: \"1\"}]}"
        let manifests = Self.pod("both") + Self.pod("four", spec: four)
        let found = try await matrices(manifests, "[{name: all, matrix: {ports: [80], family: IPv6}}]")
        #expect(found[0].tables[0].rows == [".-.", "---"])
    }

    @Test("pods behind sidecars are asked through them, and a pod's own servers answer again afterwards")
    func sidecars() async throws {
        let manifests =
            Self.pod("meshed", "{sidecar.istio.io/inject: \"true\"}") + Self.pod("plain")
            + Self.pod("shut", "{app: shut}")
            + Self.policy
        let steps = """
            [{name: all, matrix: {to: default/*, ports: [80, 8080]}},
             {name: again, flows: [{from: default/plain, to: "tcp://default/plain:80", expect: allowed},
                                   {from: default/plain, to: "tcp://default/meshed:80", expect: allowed}]}]
            """
        let found = try await matrices(manifests, steps)
        #expect(found[0].tables.map(\.rows) == [["..X", "..X", "..."], ["..X", "..X", "..."]])
    }

    @Test("the boundary's firewall denies the internet's column")
    func boundary() async throws {
        let found = try await matrices(
            Self.pod("in") + Self.pod("out"), "[{name: all, matrix: {ports: [80], protocols: [TCP, UDP]}}]",
            spec: "boundary: {allowFrom: [default/out]}")
        for table in found[0].tables { #expect(table.rows == ["..X", "..."]) }
    }

    @Test("pods on several nodes are asked across them")
    func nodes() async throws {
        let manifests =
            Self.pod("one", spec: "nodeName: a") + Self.pod("shut", "{app: shut}", spec: "nodeName: b") + Self.policy
        let found = try await matrices(manifests, "[{name: all, matrix: {ports: [80]}}]", spec: "nodes: [a, b]")
        #expect(found[0].tables[0].rows == [".X.", "..."])
    }

    @Test("SCTP is asked by the first packet of an association, in both families, through sidecars, too")
    func sctp() async throws {
        let manifests =
            Self.pod("friend", "{app: friend}") + Self.pod("meshed", "{sidecar.istio.io/inject: \"true\"}")
            + Self.pod("shut", "{app: shut}")
                + """
                apiVersion: networking.k8s.io/v1
                kind: NetworkPolicy
                metadata: {name: shut}
                spec:
                  podSelector: {matchLabels: {app: shut}}
                  ingress:
                  - {from: [{podSelector: {matchLabels: {app: friend}}}], ports: [{port: 9003, protocol: SCTP}, {port: 9005}]}

                """
        let steps = """
            [{name: four, matrix: {ports: [9003, 9005], protocols: [SCTP, TCP]}},
             {name: six, matrix: {ports: [9003], protocols: SCTP, family: IPv6},
              flows: [{from: default/friend, to: "sctp://default/meshed:9003", expect: allowed}]}]
            """
        let found = try await matrices(manifests, steps)
        #expect(found[0].tables.map(\.name) == ["SCTP 9003", "SCTP 9005", "TCP 9003", "TCP 9005"])
        let (open, shut) = (["....", "..X.", "...."], ["..X.", "..X.", "...."])
        #expect(found[0].tables.map(\.rows) == [open, shut, shut, open])
        #expect(found[1].tables.map(\.rows) == [open])
    }

    @Test("where policies and kernel disagree a pair is named, and its answer is unknown")
    func disagreement() async throws {
        let text = Self.pod("a") + Self.pod("shut", "{app: shut}")
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let open = try Self.plan(text)
        let shut = try Self.plan(text + Self.policy)
        // The kernel has one plan's rules, the oracle the other's policies.
        for (inForce, claimed, says, why) in [
            (open, shut, "let it pass", "isolated by NetworkPolicy default/shut"),
            (shut, open, "dropped it", "no policy decides"),
        ] {
            let lab = try RunningLab(plan: inForce, group: group)
            try await lab.update(to: inForce)
            let flows = FlowRunner(lab: lab, enforcement: .none, dns: claimed.dns, policies: claimed)
            let matrix = Matrix(probes: [MatrixProbe(.tcp, 81)], location: SourceLocation(file: "test"))
            let runner = MatrixRunner(lab: lab, plan: claimed, flows: flows, flowsAtOnce: 1)
            let result = try await runner.run(matrix)
            let disagreements = try #require(result.disagreements)
            #expect(disagreements.count == 1)
            #expect(disagreements[0].contains("TCP 81, default/a to default/shut: the node \(says)"))
            #expect(disagreements[0].contains(why))
            #expect(result.tables[0].rows == [".?.", "..."])
            var scenario = ScenarioResult(
                name: "", title: "", path: "", dataPlane: "", result: .passed,
                steps: [StepResult(name: "", matrix: result)])
            scenario.conclude()
            #expect(scenario.result == .error && scenario.error?.contains("default/a to default/shut") == true)
            #expect(RunResult(scenarios: [scenario]).exitCode == 4)
            await lab.stop()
        }
    }

    private static func plan(_ text: String) throws -> LabPlan {
        let read = ManifestReader.read(text: text, file: "cluster.yaml")
        #expect(read.isUsable, "\(read.diagnostics)")
        let scenario = Scenario(
            name: "matrix", file: "cluster.yaml", location: SourceLocation(file: "cluster.yaml"), enforcement: .none,
            manifests: read.value)
        var timeline = ScenarioTimeline(scenario)
        let first = timeline.next()
        let moment = try #require(first)
        var planner = LabPlanner(scenario: scenario)
        return planner.plan(resources: moment.resources, mesh: moment.mesh).0
    }
}
