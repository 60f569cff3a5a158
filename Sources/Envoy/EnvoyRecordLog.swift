import NIOConcurrencyHelpers
import ProxyModel

/// The newest records of an Envoy's access logs, their lines, and those of its own log between them.
final class EnvoyRecordLog: Sendable {
    static let limit = 100_000

    private struct State {
        var entries: [(record: AccessLogRecord?, lines: [ProxyLogLine])] = []
        /// How many there have ever been.
        var count = 0
    }

    private let state = NIOLockedValueBox(State())

    /// - Parameter record: nil for what Envoy says of itself.
    func append(_ record: AccessLogRecord?, lines: [ProxyLogLine]) {
        state.withLockedValue { state in
            state.count += 1
            state.entries.append((record, lines))
            // In bulk, because taking away at the front moves the rest.
            if state.entries.count >= Self.limit + Self.limit / 10 {
                state.entries.removeFirst(state.entries.count - Self.limit)
            }
        }
    }

    func records() -> [AccessLogRecord] {
        state.withLockedValue { $0.entries.suffix(Self.limit).compactMap(\.record) }
    }

    func lines(after count: Int) -> (lines: [ProxyLogLine], count: Int) {
        state.withLockedValue { state in
            let new = state.entries.suffix(min(max(state.count - count, 0), Self.limit))
            return (new.flatMap(\.lines), state.count)
        }
    }
}
