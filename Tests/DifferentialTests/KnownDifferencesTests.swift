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

    @Test("Of a long request that is refused meanwhile the bundled proxy counts what its growing buffers have taken")
    func longRequest() {
        let long = String(repeating: "a", count: 5000)
        func isKnown(_ left: String, _ right: String, body: String, field: String = "bytes_sent") -> Bool {
            self.isKnown(body: body, field: "access-log[sidecar default/client].\(field)", left: left, right: right)
        }
        #expect(isKnown("3840", "5121", body: long) && isKnown("768", "5121", body: long, field: "bytes_received"))
        #expect(!isKnown("5121", "3840", body: long) && !isKnown("3841", "5121", body: long))
        #expect(!isKnown("3840", "4000", body: long) && !isKnown("256", "400", body: "short"))
        #expect(!isKnown("3840", "5121", body: long, field: "duration"))
    }
}
