import NIOConcurrencyHelpers

/// What has gone wrong with a lab by itself, such as a proxy that ended: the first of it, for those who wait for it.
package final class LabFailures: Sendable {
    private struct State {
        var first: (any Error)?
        var waiting: [CheckedContinuation<any Error, Never>] = []
    }

    private let state = NIOLockedValueBox(State())

    /// Tells of a failure; what follows from it is no news.
    func report(_ error: any Error) {
        let waiting = state.withLockedValue { state in
            guard state.first == nil else { return [CheckedContinuation<any Error, Never>]() }
            state.first = error
            defer { state.waiting = [] }
            return state.waiting
        }
        for waiter in waiting { waiter.resume(returning: error) }
    }

    /// Returns with the first failure; a lab that has none keeps it waiting.
    package func first() async -> any Error {
        await withCheckedContinuation { continuation in
            let known: (any Error)? = state.withLockedValue { state in
                if state.first == nil { state.waiting.append(continuation) }
                return state.first
            }
            if let known { continuation.resume(returning: known) }
        }
    }
}
