import Foundation
import Manifests
import Mesh
import Testing

@testable import Lab

@Suite struct ProxyChoicesTests {
    private func sets(_ manifests: String) throws -> [[String]]? {
        let folder = FileManager.default.temporaryDirectory.appending(path: "choices-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let pod = """
            apiVersion: v1
            kind: Pod
            metadata: {name: sleep, namespace: default, labels: {sidecar.istio.io/inject: "true"}}
            spec: {containers: [{name: sleep, image: curlimages/curl}]}
            ---

            """
        try Data((pod + manifests).utf8).write(to: folder.appending(path: "manifests.yaml"))
        let text = """
            apiVersion: egress-lab.dev/v1
            kind: Scenario
            metadata: {name: choices}
            spec:
              manifests: [manifests.yaml]
              internet:
                - {hosts: [a.example], addresses: [203.0.113.1, 203.0.113.2, "2001:db8::1"]}
                - {hosts: [b.example], addresses: [203.0.113.3]}
              steps: [{name: only}]
            """
        let file = folder.appending(path: "scenario.yaml")
        try Data(text.utf8).write(to: file)
        let read = ScenarioReader.read(path: file.path)
        let scenario = try #require(read.value, "\(read.diagnostics)")
        var timeline = ScenarioTimeline(scenario)
        let next = timeline.next()
        let moment = try #require(next)
        var planner = LabPlanner(scenario: scenario)
        let (plan, _) = planner.plan(resources: moment.resources, mesh: moment.mesh, restarted: [])
        return ProxyChoices(plan: plan).sets
    }

    private func entry(_ host: String, _ rest: String) -> String {
        """
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: \(host.prefix { $0 != "." }), namespace: default}
        spec: {hosts: [\(host)], ports: [{number: 80, name: http, protocol: HTTP}], \(rest)}
        ---

        """
    }

    @Test("A cluster of one host leaves nothing to chance")
    func oneHost() throws { #expect(try sets(entry("b.example", "resolution: DNS")) == nil) }

    @Test("Of the pods behind a Service the node takes any")
    func servicePods() throws {
        let found = try sets(
            """
            apiVersion: v1
            kind: Service
            metadata: {name: web, namespace: default}
            spec: {selector: {app: web}, ports: [{name: tcp, port: 80, targetPort: 8080}]}
            ---
            apiVersion: apps/v1
            kind: Deployment
            metadata: {name: web, namespace: default}
            spec:
              replicas: 2
              selector: {matchLabels: {app: web}}
              template:
                metadata: {labels: {app: web}}
                spec: {containers: [{name: web, image: nginx, ports: [{containerPort: 8080}]}]}

            """)
        let pods = try #require(found?.first { $0.allSatisfy { $0.hasPrefix("pod ") } })
        #expect(pods.count == 2 && pods.allSatisfy { $0.hasPrefix("pod default/web-") })
    }

    @Test("The endpoints of a STATIC entry are equals")
    func staticEndpoints() throws {
        let found = try sets(
            entry("s.example", "resolution: STATIC, endpoints: [{address: 203.0.113.9}, {address: 203.0.113.8}]"))
        #expect(found == [["203.0.113.8:80", "203.0.113.9:80"]])
    }

    @Test("So are the addresses of a name, in the families that the proxy uses")
    func addressesOfName() throws {
        let found = try sets(entry("a.example", "resolution: DNS"))
        let hosts = try #require(found?.first)
        #expect(Set(hosts).isSuperset(of: ["203.0.113.1:80", "203.0.113.2:80"]))
    }

    @Test("The clusters of a weighted route are equals, and their hosts with them; a weight of 0 is no chance")
    func weightedRoute() throws {
        let entries =
            entry("b.example", "resolution: DNS")
            + entry("s.example", "resolution: STATIC, endpoints: [{address: 203.0.113.9}]")
        func route(_ weight: Int) -> String {
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: split, namespace: default}
            spec:
              hosts: [b.example]
              http:
                - route:
                    - {destination: {host: b.example}, weight: \(100 - weight)}
                    - {destination: {host: s.example}, weight: \(weight)}
            """
        }
        #expect(
            try sets(entries + route(50)) == [
                ["203.0.113.3:80", "203.0.113.9:80"], ["outbound|80||b.example", "outbound|80||s.example"],
            ])
        #expect(try sets(entries + route(0)) == nil)
    }
}
