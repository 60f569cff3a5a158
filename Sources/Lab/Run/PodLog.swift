import Mesh
import NIOCore
import Proxy
import ProxyModel

/// A log of a pod: its proxy's, or that of a program in a container's place.
struct PodLog {
    /// Off means off: what the user's mesh does not log can't be asserted as logged.
    var isLogging = true
    var records: () -> [AccessLogRecord]
    var lines: () -> [String]
    /// Lines may tell of other things than connections; then they come when the program likes.
    var hasOtherLines = false
    /// Returns when there are more lines than that, or after the time.
    var nextLine: (Int, TimeAmount) async -> Void = { _, _ in }
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
                    records: program.records, lines: program.lines,
                    hasOtherLines: plan.containers.contains { $0.name == container && $0.isMachineProgram },
                    nextLine: program.nextLine)
            )
        }
        let isLogging = plan.proxy?.accessLog != nil
        return (
            "\(id)",
            proxy.map { PodLog(isLogging: isLogging, records: $0.accessLogRecords, lines: $0.accessLogLines) }
        )
    }
}

extension RunningPod {
    /// A log to be followed: gives the lines after the first so many records, and how many there have been; nil where
    /// nothing writes one. Without a container it is the proxy's, else that of the first program in a container's place.
    package func followedLog(of container: String?) -> ((Int) -> (lines: [String], count: Int))? {
        if let program = container.map({ programs[$0] }) ?? (proxy == nil ? programs.values.first : nil) {
            return { count in
                let lines = program.lines()
                return (Array(lines.dropFirst(count)), lines.count)
            }
        }
        guard container == nil || container == "istio-proxy" || plan.pod.isRouter else { return { _ in ([], 0) } }
        return proxy.map { proxy in proxy.accessLogLines(after:) }
    }
}
