import NIOConcurrencyHelpers
import ProxyModel

/// The newest records of a proxy's access logs, their lines, and those of its own log between them.
final class RecordLog: Sendable {
    private let limit: Int

    /// One access log.
    private struct Log {
        let path: String
        let formatter: AccessLogFormatter
    }

    private enum Entry {
        /// With the logs that have it.
        case record(AccessLogRecord, [Log])
        /// Of the proxy's own log.
        case own(String)

        var record: AccessLogRecord? {
            if case .record(let record, _) = self { record } else { nil }
        }

        var lines: [ProxyLogLine] {
            switch self {
            case .own(let text): [ProxyLogLine(path: nil, text: text)]
            case .record(let record, let logs):
                logs.map { ProxyLogLine(path: $0.path, text: $0.formatter.line(for: record)) }
            }
        }
    }

    private struct State {
        /// A ring once it is full; `oldest` is then the place of the next entry.
        var entries: [Entry] = []
        var oldest = 0
        /// How many there have ever been.
        var count = 0
        var logs: [Listener.TrafficDirection: [Log]] = [:]
        /// Whether any direction has a log.
        var hasLogs = false

        var ordered: [Entry] { Array(entries[oldest...] + entries[..<oldest]) }

        mutating func append(_ entry: Entry, limit: Int) {
            count += 1
            if entries.count < limit {
                entries.append(entry)
            } else {
                entries[oldest] = entry
                oldest = (oldest + 1) % limit
            }
        }
    }

    private let state = NIOLockedValueBox(State())

    init(limit: Int = 100_000) { self.limit = limit }

    /// The logs for the records that follow; without any, records are kept that have no lines.
    func configure(_ model: ProxyConfiguration) {
        let host = model.node.pod
        func logs(_ configurations: [AccessLogConfiguration]) -> [Log] {
            configurations.map { Log(path: $0.path, formatter: AccessLogFormatter($0, hostName: host)) }
        }
        let outbound = logs(model.accessLogs)
        let inbound = model.inboundAccessLogs.map(logs) ?? outbound
        state.withLockedValue { state in
            state.logs = [.outbound: outbound, .inbound: inbound]
            state.hasLogs = model.writesAccessLog
        }
    }

    func append(_ record: AccessLogRecord, _ direction: Listener.TrafficDirection) {
        if limit == 0 { return }
        state.withLockedValue { state in
            var logs = state.logs[direction] ?? []
            if !logs.allSatisfy({ $0.formatter.logs(record) }) { logs = logs.filter { $0.formatter.logs(record) } }
            // What all logs leave out is in none.
            if state.hasLogs, logs.isEmpty { return }
            state.append(.record(record, logs), limit: limit)
        }
    }

    /// A line of the proxy's own log.
    func append(own line: String) {
        if limit == 0 { return }
        state.withLockedValue { $0.append(.own(line), limit: limit) }
    }

    func records() -> [AccessLogRecord] { state.withLockedValue { $0.ordered.compactMap(\.record) } }

    /// The records among the entries after the first `count` there have ever been, as far as they are kept, and how many
    /// entries there have been.
    func records(after count: Int) -> (records: [AccessLogRecord], count: Int) {
        state.withLockedValue { ($0.ordered.suffix(max($0.count - count, 0)).compactMap(\.record), $0.count) }
    }

    /// The lines of the entries after the first `count` there have ever been, as far as they are kept, and how many
    /// entries there have been up to now. Formats on demand: most records are never printed.
    func lines(after count: Int) -> (lines: [ProxyLogLine], count: Int) {
        let (entries, total) = state.withLockedValue { ($0.ordered, $0.count) }
        return (entries.suffix(max(total - count, 0)).flatMap(\.lines), total)
    }
}
