import Evidence
import Foundation
import Manifests
import Mesh
import NIOPosix
import Netlink
import NetworkAddresses
import TestSupport
import Testing

@testable import Lab

@Suite("Labs of several nodes", .requiresRoot)
struct NodesLabKernelTests {
    private static let manifests = """
        apiVersion: v1
        kind: List
        items:
          - {apiVersion: v1, kind: Node, metadata: {name: a}}
          - {apiVersion: v1, kind: Node, metadata: {name: b}}
          - {apiVersion: v1, kind: Node, metadata: {name: c}}
          - apiVersion: v1
            kind: Pod
            metadata: {name: client, labels: {app: client}}
            spec: {nodeName: a, containers: [{name: main, image: main}]}
          - apiVersion: v1
            kind: Pod
            metadata: {name: server, labels: {app: server}}
            spec: {nodeName: b, containers: [{name: main, image: main}]}
          - apiVersion: v1
            kind: Pod
            metadata: {name: agent}
            spec: {nodeName: c, hostNetwork: true, containers: [{name: main, image: main}]}
          - apiVersion: v1
            kind: Service
            metadata: {name: server}
            spec: {selector: {app: server}, ports: [{name: http, port: 80, targetPort: 8080}]}
        """

    /// Runs a scenario with these steps, without a mesh.
    private func run(_ spec: String) async throws -> ScenarioResult {
        let directory = FileManager.default.temporaryDirectory.appending(path: "nodes-lab-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try Data(Self.manifests.utf8).write(to: URL(fileURLWithPath: directory + "/cluster.yaml"))
        let file = directory + "/scenario.yaml"
        let head = """
            apiVersion: egress-lab.dev/v1
            kind: Scenario
            metadata: {name: nodes}
            spec:
              enforcement: none
              manifests: [cluster.yaml]

            """
        try Data((head + spec).utf8).write(to: URL(fileURLWithPath: file))
        let read = ScenarioReader.read(path: file)
        let scenario = try #require(read.value, "\(read.diagnostics)")
        #expect(read.isUsable, "\(read.diagnostics)")
        let outcome = await ScenarioRunner(scenario: scenario).run()
        #expect(outcome.result.error == nil)
        for flow in outcome.result.steps.flatMap(\.flows) {
            #expect(flow.passed, "\(flow.id): \(flow.mismatches) \(flow.observed)")
        }
        return outcome.result
    }

    private func drop(_ id: String, in result: ScenarioResult) -> FlowResult.EvidenceItem? {
        result.steps.flatMap(\.flows).first { $0.id == id }?.evidence.first { $0.kind == .drop }
    }

    @Test("pods reach each other, Services and hosts' own pods across nodes, and policies stop them at either end")
    func policies() async throws {
        let result = try await run(
            """
              steps:
                - flows:
                    - {from: default/client, to: "tcp://default/server:8080", expect: allowed}
                    - {from: default/server, to: "http://default/client:8080/", family: ipv6, expect: {outcome: allowed, status: 200}}
                    - {from: default/client, to: "http://server/", expect: {outcome: allowed, status: 200}}
                    - {from: default/client, to: "tcp://default/agent:9100", expect: allowed}
                    - {from: default/agent, to: "http://default/server:8080/", expect: {outcome: allowed, status: 200}}
                    - {from: node/a, to: "http://server.default.svc.cluster.local/", expect: {outcome: allowed, status: 200}}
                    - {from: default/client, to: "icmp://172.18.0.4", expect: allowed}
                    - {from: internet/192.0.2.9, to: "tcp://default/server:8080", expect: allowed}
                - apply:
                    - apiVersion: networking.k8s.io/v1
                      kind: NetworkPolicy
                      metadata: {name: server}
                      spec: {podSelector: {matchLabels: {app: server}}, ingress: [{ports: [{port: 8080}]}]}
                    - apiVersion: networking.k8s.io/v1
                      kind: NetworkPolicy
                      metadata: {name: client}
                      spec: {podSelector: {matchLabels: {app: client}}, policyTypes: [Egress], egress: [{ports: [{port: 9090}, {port: 8080}, {port: 53, protocol: UDP}]}]}
                  flows:
                    - {id: both, from: default/client, to: "tcp://default/server:8080", expect: allowed}
                    - {id: at-client, from: default/client, to: "tcp://default/server:7070", expect: {outcome: denied, by: network-policy}}
                    - {id: at-server, from: default/client, to: "tcp://default/server:9090", expect: {outcome: denied, by: network-policy}}
            """)
        #expect(drop("at-client", in: result)?.at == "node/a")
        #expect(drop("at-server", in: result)?.at == "node/b")
    }

    @Test("the boundary on the fabric lets out a workload's pods wherever they are, and drops all others")
    func boundary() async throws {
        let result = try await run(
            """
              boundary: {allowFrom: [default/server, node/c]}
              steps:
                - flows:
                    - {from: default/server, to: "tcp://192.0.2.9:443", expect: allowed}
                    - {from: default/server, to: "udp://[2001:db8::9]:443", expect: allowed}
                    - {from: default/agent, to: "tcp://192.0.2.9:443", expect: allowed}
                    - {from: node/c, to: "icmp://192.0.2.9", expect: allowed}
                    - {id: pod, from: default/client, to: "tcp://192.0.2.9:443", expect: {outcome: denied, by: boundary}}
                    - {from: default/client, to: "udp://[2001:db8::9]:443", expect: {outcome: denied, by: boundary}}
                    - {from: default/client, to: "icmp://192.0.2.9", expect: {outcome: denied, by: boundary}}
                    - {id: node, from: node/a, to: "tcp://192.0.2.9:443", expect: {outcome: denied, by: boundary}}
                    - {from: internet/192.0.2.9, to: "tcp://default/client:8080", expect: allowed}
                # A pod that moves to another node is found there, with the rights it has there.
                - delete: [Pod/default/client]
                  apply:
                    - apiVersion: v1
                      kind: Pod
                      metadata: {name: client, labels: {app: client}}
                      spec: {nodeName: c, containers: [{name: main, image: main}]}
                  flows:
                    - {from: default/client, to: "tcp://192.0.2.9:443", expect: allowed}
                    - {from: default/server, to: "tcp://default/client:8080", expect: allowed}
            """)
        let pod = try #require(drop("pod", in: result))
        #expect(pod.at == "boundary" && pod.detail["pod"] == "default/client")
        #expect(pod.detail["policies"]?.hasPrefix("Scenario nodes spec.boundary, scenario.yaml:") == true)
        #expect(drop("node", in: result)?.detail["pod"] == "node/a")
    }
}
