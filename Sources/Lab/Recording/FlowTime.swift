import NIOConcurrencyHelpers

/// Keeps flows apart from what programs call of their own accord.
///
/// Where the kernel tells what proxies leave out, everything that is seen while a flow is under way counts as the
/// flow's. So a program's round of calls waits until no flow is, and a flow until the rounds that have begun are over.
final class FlowTime: Sendable {
    private struct State {
        var flows = 0
        var rounds = 0
        var waitingFlows: [CheckedContinuation<Void, Never>] = []
        var waitingRounds: [CheckedContinuation<Void, Never>] = []
    }

    private let state = NIOLockedValueBox(State())

    /// Returns when no round is under way; none begins until `endFlow`.
    func beginFlow() async {
        await withCheckedContinuation { continuation in
            let isFree = state.withLockedValue { state in
                state.flows += 1
                if state.rounds > 0 { state.waitingFlows.append(continuation) }
                return state.rounds == 0
            }
            if isFree { continuation.resume() }
        }
    }

    func endFlow() {
        let waiting = state.withLockedValue { state in
            state.flows -= 1
            guard state.flows == 0 else { return [] as [CheckedContinuation<Void, Never>] }
            state.rounds += state.waitingRounds.count
            defer { state.waitingRounds = [] }
            return state.waitingRounds
        }
        for round in waiting { round.resume() }
    }

    /// Returns when no flow is under way; none begins until `endRound`.
    func beginRound() async {
        await withCheckedContinuation { continuation in
            let isFree = state.withLockedValue { state in
                if state.flows > 0 {
                    state.waitingRounds.append(continuation)
                    return false
                }
                state.rounds += 1
                return true
            }
            if isFree { continuation.resume() }
        }
    }

    func endRound() {
        let waiting = state.withLockedValue { state in
            state.rounds -= 1
            guard state.rounds == 0 else { return [] as [CheckedContinuation<Void, Never>] }
            defer { state.waitingFlows = [] }
            return state.waitingFlows
        }
        for flow in waiting { flow.resume() }
    }
}
