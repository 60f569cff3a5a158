import Foundation
import NetworkAddresses
import Testing

@testable import Manifests

@Suite("Scenarios are read whole, or every reason why not is told")
struct ScenarioReaderTests {
    private func read(_ name: String) -> ReadResult<Scenario?> {
        ScenarioReader.read(path: "\(Fixtures.directory)/scenarios/\(name)/scenario.yaml")
    }

    @Test("Every field has its place")
    func whole() throws {
        let result = read("whole")
        #expect(result.diagnostics.isEmpty, "\(result.diagnostics)")
        let scenario = try #require(result.value)
        Fixtures.expect(Outline.of(scenario), equals: "scenarios/whole/scenario.outline")
    }

    @Test(
        "Programs, nodes, the boundary and what servers speak have their places")
    func machines() throws {
        let result = read("machines")
        let scenario = try #require(result.value)
        Fixtures.expect(Outline.of(scenario), equals: "scenarios/machines/scenario.outline")
        Fixtures.expect(
            result.diagnostics.map { "\($0)\n" }.joined(), equals: "scenarios/machines/scenario.diagnostics")
        #expect(result.diagnostics.allSatisfy { $0.severity < .error })
    }

    @Test("Every mistake is told in one run, in the scenario and in the manifests it names")
    func wrong() {
        let result = read("wrong")
        Fixtures.expect(
            result.diagnostics.map { "\($0)\n" }.joined(), equals: "scenarios/wrong/scenario.diagnostics")
        #expect(!result.isUsable)
    }

    @Test("What is not said has the documented default")
    func minimal() throws {
        let result = read("minimal")
        #expect(result.diagnostics.isEmpty, "\(result.diagnostics)")
        let scenario = try #require(result.value)
        #expect(scenario.enforcement == .sidecar)
        #expect(scenario.compatibility == .current)
        #expect(scenario.dataPlane == .bundled)
        #expect(scenario.mesh == MeshConfig())
        #expect(scenario.steps.count == 1)
    }

    @Test("A file that is missing or no scenario is an error that names it")
    func noScenario() {
        #expect(
            ScenarioReader.read(path: "/nowhere/scenario.yaml").diagnostics.map(\.description)
                == ["/nowhere/scenario.yaml:1:1: error: no file /nowhere/scenario.yaml"])
        let result = ScenarioReader.read(path: "\(Fixtures.directory)/right/document-000.yaml")
        #expect(!result.isUsable && result.value == nil)
    }

    @Test("A field that a scenario does not have is an error: a misspelt expectation must not pass")
    func unknownField() {
        let text = """
            {apiVersion: egress-lab.dev/v1, kind: Scenario, metadata: {name: x}, spec: {steps: [{name: a, flows: [
            {from: node/node, to: "tcp://192.0.2.1:80", expect: {outcome: failed, staus: 200}}]}]}}
            """
        withScenario(text) { path in
            let result = ScenarioReader.read(path: path)
            #expect(
                result.diagnostics.map(\.message) == ["unknown field spec.steps[0].flows[0].expect.staus of Scenario"])
            #expect(result.diagnostics.map(\.remedy) == ["did you mean status?"])
            #expect(!result.isUsable)
        }
    }

    @Test("The command line's data plane wins over the scenario's")
    func dataPlane() {
        let text = """
            {apiVersion: egress-lab.dev/v1, kind: Scenario, metadata: {name: x},
            spec: {dataPlane: envoy, steps: [{name: a}]}}
            """
        withScenario(text) { path in
            #expect(ScenarioReader.read(path: path).value?.dataPlane == .envoy)
            let overridden = ScenarioReader.read(path: path, dataPlane: .bundled)
            #expect(overridden.diagnostics.isEmpty)
            #expect(overridden.value?.dataPlane == .bundled)
        }
    }

    @Test("A scenario or manifest that is reached twice through links is read once, and circles end")
    func links() throws {
        let text = "{apiVersion: egress-lab.dev/v1, kind: Scenario, metadata: {name: x}, spec: {steps: [{name: a}]}}"
        try withScenario(text) { path in
            let files = FileManager.default
            let root = URL(fileURLWithPath: path).deletingLastPathComponent()
            try files.createDirectory(at: root.appending(path: "tree/one"), withIntermediateDirectories: true)
            try files.createSymbolicLink(
                atPath: root.path + "/tree/one/scenario.yaml", withDestinationPath: "../../scenario.yaml")
            try files.createSymbolicLink(atPath: root.path + "/tree/two", withDestinationPath: "one")
            try files.createSymbolicLink(atPath: root.path + "/tree/up", withDestinationPath: "..")
            #expect(ScenarioLocator.find(paths: [root.path + "/tree"]).value == [root.path + "/tree/one/scenario.yaml"])
            #expect(ScenarioLocator.find(paths: [path, root.path + "/tree", root.path + "/./tree"]).value == [path])

            let pod = "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: c}]}}"
            try Data(pod.utf8).write(to: root.appending(path: "tree/one/pod.yaml"))
            #expect(ManifestReader.read(paths: [root.path + "/tree"]).value.count == 1)
        }
    }

    private func withScenario(_ text: String, _ body: (String) throws -> Void) rethrows {
        let directory = FileManager.default.temporaryDirectory.appending(path: "scenario-test-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: directory) }
        try? FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        let file = directory.appending(path: "scenario.yaml")
        try? Data(text.utf8).write(to: file)
        try body(file.path)
    }

    @Test("Paths stand for a scenario, its directory, or a tree of them")
    func locator() {
        let root = "\(Fixtures.directory)/scenarios"
        let all = ScenarioLocator.find(paths: [root])
        #expect(all.diagnostics.isEmpty)
        #expect(
            all.value.map(Fixtures.portable)
                == ["machines", "minimal", "whole", "wrong"].map { "scenarios/\($0)/scenario.yaml" })
        #expect(ScenarioLocator.find(paths: ["\(root)/whole", "\(root)/whole/scenario.yaml"]).value.count == 1)
        let none = ScenarioLocator.find(paths: ["\(Fixtures.directory)/right", "/nowhere"])
        #expect(none.value.isEmpty)
        #expect(none.diagnostics.map(\.severity) == [.error, .error])
        #expect(ScenarioLocator.isScenario("\(root)/whole/scenario.yaml"))
        #expect(!ScenarioLocator.isScenario("\(root)/whole/sleep.yaml"))
    }
}

@Suite("The target of a flow")
struct FlowTargetTests {
    private func target(_ text: String) throws -> String {
        var cluster = KnownWorkloads()
        let text2 = """
            {apiVersion: v1, kind: Pod, metadata: {name: echo, namespace: shop}, spec: {containers: [{name: c}]}}
            """
        ManifestReader.read(text: text2, file: "x").value.forEach { cluster.apply($0) }
        let target = try FlowTarget(text, in: cluster)
        return "\(target.scheme.rawValue) \(target.host) \(target.port) \(target.path)"
    }

    @Test(
        "Hosts, ports and paths are told apart",
        arguments: [
            ("http://a.example", "http a.example 80 /"),
            ("https://a.example?q=1", "https a.example 443 /?q=1"),
            ("http://reviews/echo", "http reviews 80 /echo"),
            ("http://shop/echo", "http shop/echo 80 /"),
            ("http://shop/echo:8080/a/b?c", "http shop/echo 8080 /a/b?c"),
            ("http://shop/echo?x", "http shop/echo 80 /?x"),
            ("tls://shop/echo", "tls shop/echo 443 /"),
            ("icmp://shop/echo", "icmp shop/echo 0 /"),
            ("tcp://[2001:db8::1]:80", "tcp [2001:db8::1] 80 /"),
            ("icmp://[2001:db8::1]", "icmp [2001:db8::1] 0 /"),
            ("udp://192.0.2.1:53", "udp 192.0.2.1 53 /"),
            ("dns://192.0.2.1:5353/a.example", "dns 192.0.2.1 5353 a.example"),
            ("dns://a.example", "dns  53 a.example"),
            ("dns://shop/echo/a.example", "dns shop/echo 53 a.example"),
            ("tcp://kube-system/kube-dns:53", "tcp kube-system/kube-dns 53 /"),
        ])
    func right(text: String, expected: String) throws {
        #expect(try target(text) == expected)
    }

    @Test(
        "What is no target is refused",
        arguments: [
            "a.example", "gopher://a.example", "tcp://a.example", "tcp://a.example:0", "tcp://a.example:65536",
            "tcp://a.example:80/path", "http://", "http://*.example", "tcp://[192.0.2.1]:80", "tcp://[2001:db8::1",
            "icmp://192.0.2.1:1", "http://shop/nobody", "dns://", "http://192.0.2.300",
        ])
    func wrong(text: String) {
        #expect(throws: FlowTarget.Problem.self) { try target(text) }
    }
}
