import Evidence
import Manifests
import Testing

@testable import egress_lab_differential

@Suite struct KeptScenarioTests {
    private let mesh: GeneratedMesh = {
        var mesh = GeneratedMesh(name: "m")
        mesh.flows = [
            [
                "id": "f1", "from": "default/client", "to": "http://a.example",
                "expect": GeneratedMesh.neutralExpectation,
            ]
        ]
        mesh.assertions = [["stat": "default/client", "name": "requests", "atLeast": 0]]
        return mesh
    }()

    private func result(_ plane: String, status: Int, flags: String) -> ScenarioResult {
        let observed = FlowResult.Observed(
            outcome: .allowed, path: ["sidecar default/client"], status: status)
        let flow = FlowResult(
            id: "f1", from: "default/client", to: "http://a.example",
            expected: Expected(FlowExpectation(outcome: .denied)), passed: false, observed: observed,
            evidence: [
                FlowResult.EvidenceItem(
                    at: "sidecar default/client", kind: .accessLog, detail: ["response_flags": flags])
            ], location: "x:1")
        let assertion = AssertionResult(
            passed: true, message: "default/client: requests is at least 0", observed: status == 503 ? 3 : 1,
            location: "x:2")
        return ScenarioResult(
            name: "m", title: "", path: "x", dataPlane: plane, result: .failed,
            steps: [StepResult(name: "s", flows: [flow], assertions: [assertion])])
    }

    @Test("It expects what the right side did, and names the differences")
    func expectations() {
        let (left, right) = (result("bundled", status: 200, flags: "-"), result("envoy", status: 503, flags: "URX,UF"))
        let comparison = ResultComparison().compare(left, right)
        let text = KeptScenario(mesh: mesh, outcome: .init(comparison: comparison, right: right)).text
        #expect(text.hasPrefix("# f1 status: bundled \"200\", envoy \"503\"\n"))
        #expect(text.contains(#"expect: {outcome: allowed, path: ["sidecar default/client"], status: 503}"#))
        #expect(text.contains("{stat: default/client, name: requests, equals: 3}"))
        #expect(text.contains(#"{log: default/client, contains: {response_flags: "URX,UF"}}"#))
    }

    @Test("Kinds of difference leave out the names, addresses and numbers of one mesh")
    func kinds() {
        func kind(_ field: String, _ left: String?, _ right: String?) -> DifferenceKind {
            DifferenceKind(Finding(step: "s", kind: .flow, subject: "f1", field: field, left: left, right: right))
        }
        #expect(
            kind("access-log[sidecar default/client #2].upstream_host", "203.0.113.7:80", "203.0.113.8:81")
                == kind("access-log[sidecar other/client].upstream_host", "203.0.113.9:443", "192.0.2.1:8443"))
        #expect(
            kind("access-log[x].upstream_cluster", "outbound|80||a.example", nil)
                == kind("access-log[y].upstream_cluster", "outbound|9000||api.c.example", nil))
        #expect(kind("status", "404", "503") != kind("status", "404", "502"))
        #expect(kind("body", "a", "b") == kind("body", "c", "d"))
        #expect(kind("headers.content-length", "823", "857") == kind("headers.content-length", "1", "2"))
        #expect(kind("headers.content-length", "0", "857") != kind("headers.content-length", "1", "2"))
    }

    @Test("Kinds of difference of bodies are the header fields that differ in them")
    func kindsOfBodies() {
        func kind(_ left: String, _ right: String) -> String {
            DifferenceKind(
                Finding(step: "s", kind: .flow, subject: "f1", field: "body", left: left, right: right)
            ).description
        }
        let identifiers = ["52fb03b4-97cd-42e1-9e00-6beea82901ea", "f3ab6655-ca97-44c3-ac4f-0f25d62ca856"]
        let echoes = identifiers.map { "{\n    \"Host\": \"a.example\",\n    \"X-Request-Id\": \"\($0)\"" }
        let counted = echoes[1] + ",\n    \"X-Envoy-Attempt-Count\": \"1\"\n"
        #expect(kind(echoes[0], counted) == "body: - | x-envoy-attempt-count")
        #expect(kind("HTTP/1.1 200 OK\r\na: 1\r\n\r\n", "HTTP/1.1 200 OK\r\nb: 1\r\n\r\n") == "body: a | b")
    }

    @Test("What differs comes before how large it is")
    func leading() {
        var (left, right) = (result("bundled", status: 200, flags: "-"), result("envoy", status: 200, flags: "-"))
        left.steps[0].flows[0].observed.headers = [ReceivedHeader(name: "content-length", value: "1")]
        left.steps[0].flows[0].observed.error = "a"
        right.steps[0].flows[0].observed.headers = [ReceivedHeader(name: "content-length", value: "2")]
        let comparison = ResultComparison().compare(left, right)
        let leading = comparison.leadingFindings { _ in false }
        #expect(leading.map(\.field).first == "error")
        #expect(leading.count(where: { $0.kind == .flow }) == 1)
    }
}
