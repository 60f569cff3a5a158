import NIOConcurrencyHelpers
import ProxyModel

/// The newest records of an Envoy's access log, and their lines.
final class EnvoyRecordLog: Sendable {
    static let limit = 100_000

    private typealias Entry = (record: AccessLogRecord, line: String?)

    private let entries = NIOLockedValueBox<[Entry]>([])

    func append(_ record: AccessLogRecord, line: String?) {
        entries.withLockedValue { entries in
            entries.append((record, line))
            // In bulk, because taking away at the front moves the rest.
            if entries.count >= Self.limit + Self.limit / 10 { entries.removeFirst(entries.count - Self.limit) }
        }
    }

    func records() -> [AccessLogRecord] { entries.withLockedValue { $0.suffix(Self.limit).map(\.record) } }
    func lines() -> [String] { entries.withLockedValue { $0.suffix(Self.limit).compactMap(\.line) } }
}
