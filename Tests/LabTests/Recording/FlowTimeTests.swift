import NIOConcurrencyHelpers
import Testing

@testable import Lab

@Suite struct FlowTimeTests {
    @Test("A round waits for the end of the flow, and a flow for the ends of all rounds", .timeLimit(.minutes(1)))
    func turns() async {
        let time = FlowTime()
        let seen = NIOLockedValueBox([String]())
        func note(_ text: String) { seen.withLockedValue { $0.append(text) } }

        await time.beginFlow()
        let first = Task {
            await time.beginRound()
            note("round")
        }
        await Task.yield()
        note("flow ends")
        time.endFlow()
        await first.value
        await time.beginRound()
        let flow = Task {
            await time.beginFlow()
            note("flow")
        }
        time.endRound()
        await Task.yield()
        note("rounds end")
        time.endRound()
        await flow.value
        #expect(seen.withLockedValue { $0 } == ["flow ends", "round", "rounds end", "flow"])
    }
}
