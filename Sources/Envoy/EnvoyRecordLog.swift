import NIOConcurrencyHelpers
import ProxyModel

/// The newest records of an Envoy's access log, and their lines.
final class EnvoyRecordLog: Sendable {
    static let limit = 100_000

    private struct State {
        var entries: [(record: AccessLogRecord, line: String?)] = []
        /// How many there have ever been.
        var count = 0
    }

    private let state = NIOLockedValueBox(State())

    func append(_ record: AccessLogRecord, line: String?) {
        state.withLockedValue { state in
            state.count += 1
            state.entries.append((record, line))
            // In bulk, because taking away at the front moves the rest.
            if state.entries.count >= Self.limit + Self.limit / 10 {
                state.entries.removeFirst(state.entries.count - Self.limit)
            }
        }
    }

    func records() -> [AccessLogRecord] {
        state.withLockedValue { $0.entries.suffix(Self.limit).map(\.record) }
    }

    func lines() -> [String] { lines(after: 0).lines }

    func lines(after count: Int) -> (lines: [String], count: Int) {
        state.withLockedValue { state in
            let new = state.entries.suffix(min(max(state.count - count, 0), Self.limit))
            return (new.compactMap(\.line), state.count)
        }
    }
}
