import Evidence
import Manifests
import Mesh
import NIOCore
import Proxy
import ProxyModel

/// Checks logs and statistics of a running lab's proxies.
struct AssertionRunner: Sendable {
    let lab: RunningLab
    /// Where each pod's log stood when the step began: a step's assertions are about its own traffic.
    let recordsBefore: [String: LogPosition]

    /// How long a program may take to write what it is asserted to have written.
    private static let patience = Duration.seconds(2)

    func check(_ assertion: Assertion) async -> AssertionResult {
        let deadline = ContinuousClock.now + Self.patience
        while true {
            let pod = await lab.pod(of: assertion.of)
            let log = pod?.log(of: assertion.of.container).log
            let lines = log?.hasOtherLines == true ? log?.lines().count : nil
            let result = await checkNow(assertion)
            guard !result.passed, let log, let lines, ContinuousClock.now < deadline else { return result }
            await log.nextLine(lines, .milliseconds(Int64((deadline - .now) / .milliseconds(1)) + 1))
        }
    }

    private func checkNow(_ assertion: Assertion) async -> AssertionResult {
        let pod = await lab.pod(of: assertion.of)
        let grows = pod?.programs.values.contains(where: \.callsUnasked) == true
        func result(_ passed: Bool, _ message: String, observed: UInt64? = nil) -> AssertionResult {
            AssertionResult(
                passed: passed, message: message, observed: observed, growsWithTime: grows ? true : nil,
                location: "\(assertion.location.file):\(assertion.location.line)")
        }
        let telemetry = MixerTelemetry.isNamed(by: assertion.of) ? lab.telemetry : nil
        guard pod != nil || telemetry != nil else {
            return result(false, "no pod of \(assertion.of) is running")
        }
        let (place, found) =
            telemetry.map { (MixerTelemetry.name, $0.log) } ?? pod?.log(of: assertion.of.container) ?? ("", nil)
        guard let log = found else {
            let container = assertion.of.container.map { "no program in the place of container \($0), and" } ?? ""
            return result(false, "\(place) has \(container.isEmpty ? "" : container + " ")no proxy")
        }
        let before = recordsBefore[place]
        let isLogging = log.isLogging
        let records = isLogging ? Array(log.entries().dropFirst(before?.records ?? 0)) : []
        switch assertion.check {
        case .logContains(let wanted, let count):
            let matching = records.filter { Self.matches($0, wanted) }
            let expectation = count.map { "\($0) records" } ?? "a record"
            let passed = count.map { matching.count == $0 } ?? !matching.isEmpty
            return result(
                passed,
                "\(assertion.of) logged \(expectation) with \(Self.text(wanted))"
                    + (passed
                        ? ""
                        : ": found \(matching.count) among \(records.count)\(Self.nearest(records))"
                            + (isLogging ? "" : "; the mesh writes no access log (accessLogFile)")),
                observed: UInt64(matching.count))
        case .logLacks(let wanted):
            let matching = records.filter { Self.matches($0, wanted) }
            return result(
                matching.isEmpty,
                "\(assertion.of) logged no record with \(Self.text(wanted))"
                    + (matching.isEmpty ? "" : ": found \(matching.count)"), observed: UInt64(matching.count))
        case .logLine(let text, let file):
            let all = isLogging ? log.lines().dropFirst(before.map { $0.lines ?? $0.records } ?? 0) : []
            let lines = all.filter { file == nil || $0.path == file }.map(\.text)
            let matching = lines.count { $0.contains(text) }
            let passed = matching > 0
            return result(
                passed,
                "\(assertion.of) logged a line with '\(text)'" + (file.map { " in \($0)" } ?? "")
                    + (passed ? "" : "; its lines:\n" + lines.joined(separator: "\n")), observed: UInt64(matching))
        case .statistic(let name, let check):
            let value: UInt64?
            do {
                guard let proxy = pod?.proxy else { return result(false, "\(place) has no proxy") }
                value = try await proxy.statistic(name)
            } catch {
                return result(false, "\(assertion.of): \(name) can't be read: \(error)")
            }
            let (passed, message) = Self.compare(value, check)
            return result(passed, "\(assertion.of): \(name) \(message)", observed: value ?? 0)
        case .metric(let name, let labels, let check):
            guard let metrics = pod?.metrics else { return result(false, "\(place) has no proxy") }
            let (passed, message) = Self.compare(metrics.value(of: name, labels: labels), check)
            let text = labels.isEmpty ? "" : "{\(Self.text(labels))}"
            return result(
                passed, "\(assertion.of): \(name)\(text) \(message)",
                observed: metrics.value(of: name, labels: labels) ?? 0)
        }
    }

    /// Whether a number is what was wanted, and in words what was and what is.
    private static func compare(_ value: UInt64?, _ check: Assertion.StatisticCheck) -> (Bool, String) {
        let passed: Bool
        let wanted: String
        switch check {
        case .equals(let number): (passed, wanted) = ((value ?? 0) == number, "equals \(number)")
        case .atLeast(let number): (passed, wanted) = ((value ?? 0) >= number, "is at least \(number)")
        case .atMost(let number): (passed, wanted) = ((value ?? 0) <= number, "is at most \(number)")
        }
        return (passed, wanted + (passed ? "" : ": it is \(value.map(String.init) ?? "0 (never counted)")"))
    }

    private static func matches(_ entry: LogEntry, _ wanted: [String: String]) -> Bool {
        wanted.allSatisfy { entry.has($0.key, $0.value) }
    }

    private static func text(_ wanted: [String: String]) -> String {
        wanted.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: " ")
    }

    private static func nearest(_ records: [LogEntry]) -> String {
        guard let last = records.last else { return "" }
        return "; the last one: " + text(last.fields)
    }
}
