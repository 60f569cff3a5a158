import Foundation
import Manifests
import Mesh
import Netlink
import NetworkAddresses

/// The labs that the benchmarks build: pods with sidecars (about 30 capture rules) or without, each under a policy of
/// its own with 10 rules.
enum BenchmarkLab {
    /// - Parameter plain: every other pod has no sidecar.
    static func plan(pods count: Int, plain: Bool = false) throws -> (LabPlan, Scenario) {
        var manifests = ""
        for index in 0..<count {
            let isPlain = plain && index % 2 == 1
            let name = isPlain ? "plain-\(index / 2)" : "meshed-\(index / 2)"
            manifests += """
                ---
                apiVersion: v1
                kind: Pod
                metadata:
                  name: \(name)
                  namespace: default
                  labels: {app: \(name), sidecar.istio.io/inject: "\(!isPlain)"}
                  annotations:
                    traffic.sidecar.istio.io/excludeOutboundPorts: "1001,1002,1003,1004,1005"
                    traffic.sidecar.istio.io/excludeOutboundIPRanges: "198.51.100.0/28,198.51.100.32/28"
                spec:
                  containers:
                    - {name: app, image: app, ports: [{containerPort: 8080}]}
                ---
                apiVersion: networking.k8s.io/v1
                kind: NetworkPolicy
                metadata: {name: \(name), namespace: default}
                spec:
                  podSelector: {matchLabels: {app: \(name)}}
                  policyTypes: [Egress]
                  egress:
                    - to: [{podSelector: {}}]
                    - to: [{namespaceSelector: {}}]
                      ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]
                    - to: [{ipBlock: {cidr: 198.51.100.0/24, except: [198.51.100.64/26]}}]
                      ports: [{port: 443}, {port: 8443, endPort: 8449}]
                    - to: [{ipBlock: {cidr: "2001:db8::/32"}}]
                      ports: [{port: 443}]
                    - ports: [{protocol: UDP, port: 123}]

                """
        }
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("egress-lab-bench-\(getpid())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try manifests.write(to: folder.appendingPathComponent("pods.yaml"), atomically: false, encoding: .utf8)
        let scenarioText = """
            apiVersion: egress-lab.dev/v1
            kind: Scenario
            metadata: {name: bench}
            spec:
              mesh: {outboundTrafficPolicy: {mode: REGISTRY_ONLY}}
              manifests: [pods.yaml]
              steps: [{name: set up}]

            """
        let file = folder.appendingPathComponent("scenario.yaml")
        try scenarioText.write(to: file, atomically: false, encoding: .utf8)
        let read = ScenarioReader.read(path: file.path)
        guard read.isUsable, let scenario = read.value else {
            throw BenchmarkError(read.diagnostics.map(\.description).joined(separator: "\n"))
        }
        var timeline = ScenarioTimeline(scenario)
        guard let moment = timeline.next() else { throw BenchmarkError("the scenario has no state") }
        var planner = LabPlanner(scenario: scenario)
        let (plan, diagnostics) = planner.plan(resources: moment.resources, mesh: moment.mesh, restarted: [])
        if let problem = diagnostics.first(where: { $0.severity >= .unsupported }) {
            throw BenchmarkError(problem.description)
        }
        return (plan, scenario)
    }

    static func flow(from: String, to: String, port: UInt16, uid: UInt32, expect: Outcome) -> Flow {
        let location = SourceLocation(file: "bench")
        return Flow(
            id: "flow", location: location, from: .workload(WorkloadReference(namespace: "default", name: from)),
            to: "tcp://\(to):\(port)", scheme: .tcp, host: IPAddress(to).map { .address($0) } ?? .name(to), port: port,
            uid: uid, expect: FlowExpectation(outcome: expect))
    }

    static func shell(_ script: String) -> ChildSpecification {
        var specification = ChildSpecification("/bin/sh", ["-c", script])
        specification.environment = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
        return specification
    }
}
