import Evidence
import Foundation
import Manifests
import Mesh
import NIOPosix
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
}
