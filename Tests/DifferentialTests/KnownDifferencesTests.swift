import Evidence
import Testing

@testable import egress_lab_differential

@Suite struct KnownDifferencesTests {
    private func isKnown(
        body: String?, to: String = "http://web", field: String = "access-log[sidecar default/client].response_flags",
        left: String = "UR", right: String = "-"
    ) -> Bool {
        var mesh = MeshGenerator.mesh(seed: 1, index: 0)
        var flow: YAMLValue = ["id": "f", "to": .text(to)]
        if let body { flow["body"] = .text(body) }
        mesh.flows = [flow]
        let finding = Finding(step: "s", kind: .flow, subject: "f", field: field, left: left, right: right)
        return KnownDifferences(in: mesh).contains(finding)
    }

    @Test("A long body that a second sidecar refuses may end in a reset on the bundled proxy, and nothing else")
    func longBody() {
        let long = String(repeating: "a", count: 5000)
        #expect(isKnown(body: long))
        #expect(!isKnown(body: "short") && !isKnown(body: nil))
        #expect(!isKnown(body: long, left: "-", right: "UR") && !isKnown(body: long, left: "UC"))
        #expect(!isKnown(body: long, field: "status") && !isKnown(body: long, to: "tcp://web:80"))
        #expect(!isKnown(body: long, field: "access-log[sidecar default/client #2].response_flags"))
    }
}
