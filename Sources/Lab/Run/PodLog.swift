import Mesh
import NIOCore
import Proxy
import ProxyModel

/// A log of a pod: its proxy's, or that of a program in a container's place.
struct PodLog {
    /// Off means off: what the user's mesh does not log can't be asserted as logged.
    var isLogging = true
    /// The structured records, oldest first.
    var entries: () -> [LogEntry]
    var lines: () -> [ProxyLogLine]
    /// Lines may tell of other things than connections; then they come when the program likes.
    var hasOtherLines = false
    /// Returns when there are more lines than that, or after the time.
    var nextLine: (Int, TimeAmount) async -> Void = { _, _ in }
}

/// A record of a log, by the keys that assertions use.
struct LogEntry {
    let fields: [String: String]
    /// True if it has the value.
    let has: (_ key: String, _ value: String) -> Bool

    init(fields: [String: String], has: @escaping (String, String) -> Bool) {
        self.fields = fields
        self.has = has
    }

    init(_ record: AccessLogRecord) {
        let fields = record.jsonFields
        // A value that is absent reads `-`, as in the text log.
        self.init(fields: fields) { (fields[$0] ?? "-") == $1 }
    }
}

/// How far a log has been read.
struct LogPosition {
    var records: Int
    /// nil: as many as records.
    var lines: Int?
}

extension RunningPod {
    /// All logs, by the names that `log(of:)` gives them.
    var logs: [String: PodLog] {
        var result: [String: PodLog] = [:]
        for container in [nil] + programs.keys.map(Optional.init) {
            let (name, log) = log(of: container)
            if let log { result[name] = log }
        }
        return result
    }

    /// The log of the program in a container's place; of the proxy where the container is not one of those.
    func log(of container: String?) -> (name: String, log: PodLog?) {
        if let container, let program = programs[container] {
            return (
                "\(id):\(container)",
                PodLog(
                    entries: { program.records().map(LogEntry.init) },
                    lines: { program.lines().map { ProxyLogLine(path: "/dev/stdout", text: $0) } },
                    hasOtherLines: plan.containers.contains { $0.name == container && !$0.logsOnlyConnections },
                    nextLine: program.nextLine)
            )
        }
        let isLogging = plan.proxy?.writesAccessLog ?? false
        return (
            "\(id)",
            proxy.map { proxy in
                PodLog(
                    isLogging: isLogging, entries: { proxy.accessLogRecords().map(LogEntry.init) },
                    lines: { proxy.logLines(after: 0).lines })
            }
        )
    }
}

extension RunningPod {
    /// A log to be followed: gives the lines after the first so many records, and how many there have been; nil where
    /// nothing writes one. Without a container it is the proxy's, else that of the first program in a container's place.
    package func followedLog(of container: String?) -> ((Int) -> (lines: [String], count: Int))? {
        if let program = container.map({ programs[$0] }) ?? (proxy == nil ? programs.values.first : nil) {
            return program.lines(after:)
        }
        guard container == nil || container == "istio-proxy" || plan.pod.isRouter else { return { _ in ([], 0) } }
        return proxy.map { proxy in
            { count in
                let (lines, count) = proxy.logLines(after: count)
                return (lines.map(\.text), count)
            }
        }
    }
}
