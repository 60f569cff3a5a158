import Envoy
import Evidence
import Foundation
import Glibc
import Manifests
import Mesh
import NIOCore
import NIOPosix
import TestSupport
import Testing

@testable import Lab

/// A lab whose proxies are Envoys, without a worker of its own.
@Suite(.serialized, .requiresRoot, .requiresEnvoy) struct EnvoyLabKernelTests {
    private static let manifests = """
        apiVersion: v1
        kind: Pod
        metadata: {name: sleep, labels: {app: sleep, sidecar.istio.io/inject: "true"}}
        spec: {containers: [{name: sleep, image: curlimages/curl}]}
        ---
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: known}
        spec:
          hosts: [known.example]
          addresses: [203.0.113.7, 203.0.113.8]
          ports: [{number: 80, name: http, protocol: HTTP}, {number: 9000, name: tcp, protocol: TCP}]
          resolution: NONE
        ---
        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: all-but-one}
        spec:
          podSelector: {matchLabels: {app: sleep}}
          policyTypes: [Egress]
          egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [203.0.113.8/32]}}]}]
        """

    private static func scenario(enforcement: String) -> String {
        """
        apiVersion: egress-lab.dev/v1
        kind: Scenario
        metadata: {name: small}
        spec:
          enforcement: \(enforcement)
          mesh: {outboundTrafficPolicy: {mode: REGISTRY_ONLY}}
          manifests: [pod.yaml]
          internet:
            - {hosts: [known.example], addresses: [203.0.113.7], ports: [{number: 80, protocol: HTTP}]}
          steps:
            - name: only
              flows:
                - {id: allowed, from: default/sleep, to: "http://203.0.113.7/", expect: allowed}
                - {id: refused, from: default/sleep, to: "http://203.0.113.9/", expect: denied}
                - {id: dropped, from: default/sleep, to: "http://203.0.113.8/", expect: denied}
                - {id: dropped-tcp, from: default/sleep, to: "tcp://203.0.113.8:9000", expect: denied}
                - {id: silent, from: default/sleep, to: "tcp://203.0.113.7:80", body: "", expect: failed}
        """
    }

    /// Runs `body` with a lab in force and a way to send its flows.
    private func withLab(
        enforcement: String = "sidecar", timeoutMs: Int = 700,
        _ body: (RunningLab, (String) async throws -> FlowResult) async throws -> Void
    ) async throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "envoy-lab-\(getpid())").path
        try FileManager.default.createDirectory(
            atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try Data(Self.manifests.utf8).write(to: URL(fileURLWithPath: directory + "/pod.yaml"))
        let file = directory + "/scenario.yaml"
        try Data(Self.scenario(enforcement: enforcement).utf8).write(to: URL(fileURLWithPath: file))
        let read = ScenarioReader.read(path: file)
        let scenario = try #require(read.value, "\(read.diagnostics)")
        #expect(read.isUsable, "\(read.diagnostics)")

        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        var planner = LabPlanner(scenario: scenario)
        let moment = try #require(ScenarioTimeline(scenario).first { _ in true })
        let plan = planner.plan(resources: moment.resources, mesh: moment.mesh, restarted: []).0
        let lab = try RunningLab(
            plan: plan, group: group,
            dataPlanes: .envoy(try EnvoyLocator().find(), in: ProxyDirectories(in: directory)))
        try await lab.update(to: plan)
        let runner = FlowRunner(
            lab: lab, enforcement: scenario.enforcement, dns: plan.dns, timeoutMs: timeoutMs)
        do {
            try await body(lab) { id in
                await runner.run(try #require(scenario.steps.first?.flows.first { $0.id == id }))
            }
        } catch {
            await lab.stop()
            throw error
        }
        await lab.stop()
        try await group.shutdownGracefully()
    }

    @Test("What Envoy passes on, refuses, and has dropped behind it is told as with any proxy")
    func outcomes() async throws {
        // So patient a client that a verdict before its time-out is no matter of the machine's load.
        try await withLab(timeoutMs: 20_000) { _, send in
            let allowed = try await send("allowed")
            #expect(allowed.passed && allowed.observed.path == ["sidecar default/sleep"], "\(allowed)")
            let refused = try await send("refused")
            #expect(refused.passed && refused.observed.by == .sidecar, "\(refused)")
            for id in ["dropped", "dropped-tcp"] {
                let dropped = try await send(id)
                #expect(dropped.passed && dropped.observed.by == .networkPolicy, "\(dropped)")
                #expect(dropped.observed.path == ["sidecar default/sleep"])
                // At once, not after the client's patience.
                #expect(dropped.observed.durationMs < 10_000)
            }
        }
    }

    @Test("A client that Envoy waits for in vain has failed at the sidecar, on the kernel's word")
    func silence() async throws {
        try await withLab { _, send in
            let silent = try await send("silent")
            #expect(silent.observed.outcome == .failed, "\(silent)")
            #expect(silent.observed.path == ["sidecar default/sleep"])
        }
    }

    @Test("What a sidecar lets out has escaped where a gateway is demanded")
    func gatewayDemanded() async throws {
        try await withLab(enforcement: "gateway") { _, send in
            let escaped = try await send("allowed")
            #expect(escaped.observed.outcome == .escaped, "\(escaped)")
        }
    }

    @Test("An Envoy that is killed is told at once, with the pod that it was in")
    func crash() async throws {
        try await withLab { lab, _ in
            let pod = try #require(await lab.allPods.first { $0.proxy != nil })
            let envoy = try #require(pod.proxy as? EnvoyDataPlane)
            kill(try #require(envoy.processID), SIGKILL)
            let failure = "\(await lab.failures.first())"
            #expect(failure.contains("default/sleep") && failure.contains("signal 9"), "\(failure)")
            await #expect(throws: EnvoyError.self) { try await lab.settle() }
        }
    }
}
