import NIOConcurrencyHelpers
import ProxyModel

/// The newest records of a proxy's access log, and their lines.
final class RecordLog: Sendable {
    private let limit: Int

    private struct State {
        /// A ring once it is full; `oldest` is then the place of the next record.
        var entries: [(record: AccessLogRecord, formatter: AccessLogFormatter?)] = []
        var oldest = 0
        /// How many there have ever been.
        var count = 0
        var formatters: [Listener.TrafficDirection: AccessLogFormatter] = [:]

        var ordered: [(record: AccessLogRecord, formatter: AccessLogFormatter?)] {
            Array(entries[oldest...] + entries[..<oldest])
        }
    }

    private let state = NIOLockedValueBox(State())

    init(limit: Int = 100_000) { self.limit = limit }

    /// The logs for the records that follow; without any, records are kept that have no lines.
    func configure(_ model: ProxyConfiguration) {
        let host = model.node.pod
        let outbound = model.accessLog(of: .outbound).map { AccessLogFormatter($0, hostName: host) }
        let inbound =
            model.inboundAccessLog == nil
            ? outbound : model.accessLog(of: .inbound).map { AccessLogFormatter($0, hostName: host) }
        state.withLockedValue { state in
            state.formatters = [:]
            state.formatters[.outbound] = outbound
            state.formatters[.inbound] = inbound
        }
    }

    func append(_ record: AccessLogRecord, _ direction: Listener.TrafficDirection) {
        if limit == 0 { return }
        state.withLockedValue { state in
            let formatter = state.formatters[direction]
            // What one direction's log leaves out is in no log.
            if !state.formatters.isEmpty, !(formatter?.logs(record) ?? false) { return }
            state.count += 1
            let entry = (record, formatter)
            if state.entries.count < limit {
                state.entries.append(entry)
            } else {
                state.entries[state.oldest] = entry
                state.oldest = (state.oldest + 1) % limit
            }
        }
    }

    func records() -> [AccessLogRecord] { state.withLockedValue { $0.ordered.map(\.record) } }

    /// The records after the first `count` there have ever been, as far as they are kept, and how many there have been.
    func records(after count: Int) -> (records: [AccessLogRecord], count: Int) {
        state.withLockedValue { ($0.ordered.suffix(max($0.count - count, 0)).map(\.record), $0.count) }
    }

    /// Formats on demand: most records are never printed.
    func lines() -> [String] { lines(after: 0).lines }

    /// The lines of the records after the first `count` there have ever been, as far as they are kept, and how many
    /// records there have been up to now.
    func lines(after count: Int) -> (lines: [String], count: Int) {
        let (entries, total) = state.withLockedValue { ($0.ordered, $0.count) }
        let new = entries.suffix(max(total - count, 0))
        return (new.compactMap { $0.formatter?.line(for: $0.record) }, total)
    }
}
