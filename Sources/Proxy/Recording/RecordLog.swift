import NIOConcurrencyHelpers
import ProxyModel

/// The newest records of a proxy's access log, and their lines.
final class RecordLog: Sendable {
    private let limit: Int

    private struct State {
        /// A ring once it is full; `oldest` is then the place of the next record.
        var entries: [(record: AccessLogRecord, formatter: Int)] = []
        var oldest = 0
        /// How many there have ever been.
        var count = 0
        var formatters: [AccessLogFormatter?] = [nil]

        var ordered: [(record: AccessLogRecord, formatter: Int)] { Array(entries[oldest...] + entries[..<oldest]) }
    }

    private let state = NIOLockedValueBox(State())

    init(limit: Int = 100_000) { self.limit = limit }

    /// The configuration for the records that follow; nil writes no lines.
    func configure(_ configuration: AccessLogConfiguration?) {
        state.withLockedValue { $0.formatters.append(configuration.map { AccessLogFormatter($0.format) }) }
    }

    func append(_ record: AccessLogRecord) {
        if limit == 0 { return }
        state.withLockedValue { state in
            state.count += 1
            let entry = (record, state.formatters.count - 1)
            if state.entries.count < limit {
                state.entries.append(entry)
            } else {
                state.entries[state.oldest] = entry
                state.oldest = (state.oldest + 1) % limit
            }
        }
    }

    func records() -> [AccessLogRecord] { state.withLockedValue { $0.ordered.map(\.record) } }

    /// Formats on demand: most records are never printed.
    func lines() -> [String] { lines(after: 0).lines }

    /// The lines of the records after the first `count` there have ever been, as far as they are kept, and how many
    /// records there have been up to now.
    func lines(after count: Int) -> (lines: [String], count: Int) {
        let (entries, formatters, total) = state.withLockedValue { ($0.ordered, $0.formatters, $0.count) }
        let new = entries.suffix(max(total - count, 0))
        return (new.compactMap { formatters[$0.formatter]?.line(for: $0.record) }, total)
    }
}
