import Evidence
import Testing

@testable import egress_lab_differential

@Suite struct ConfirmationTests {
    private func finding(_ subject: String, _ field: String = "status") -> Finding {
        Finding(step: "s", kind: .flow, subject: subject, field: field, left: "200", right: "503")
    }

    @Test("What shows again is confirmed, whatever the flow differs in then")
    func confirmed() {
        let again = Confirmation(first: [finding("f1")], again: [[finding("f1", "error")]])
        #expect(again.confirmed == [finding("f1")] && again.isComplete)
    }

    @Test("What shows once is unstable, in whichever run it was, and is told")
    func unstable() {
        let once = Confirmation(first: [finding("f1")], again: [[], [finding("f2")]])
        #expect(once.confirmed.isEmpty && once.unstable == [finding("f1"), finding("f2")])
        #expect(!once.isComplete)
    }

    @Test("What shows in later runs only, but twice, is confirmed")
    func later() {
        let later = Confirmation(first: [finding("f1")], again: [[finding("f2")], [finding("f2")]])
        #expect(later.confirmed == [finding("f2")] && later.unstable == [finding("f1")])
    }

    @Test("Without a difference there is nothing to confirm")
    func none() {
        let none = Confirmation(first: [], again: [])
        #expect(none.confirmed.isEmpty && none.isComplete)
    }
}
