package import Evidence
import Manifests

/// The Test Anything Protocol, version 14: one test point a flow, command and assertion, the rest as YAML below it.
///
/// See https://testanything.org/tap-version-14-specification.html.
package struct TAPReport: ReportFormat {
    package static let name = "tap"

    package init() {}

    package func render(_ result: RunResult, options: ReportOptions) -> String {
        render(result.scenarios.flatMap { scenario in Check.all(of: scenario).map { (scenario.name, $0) } }, options)
    }

    package func render(_ comparison: RunComparison, options: ReportOptions) -> String {
        render(
            comparison.scenarios.flatMap { scenario in Check.all(of: scenario).map { (scenario.name, $0) } }, options)
    }

    private func render(_ checks: [(scenario: String, check: Check)], _ options: ReportOptions) -> String {
        var lines = ["TAP version 14", checks.isEmpty ? "1..0 # SKIP no checks" : "1..\(checks.count)"]
        for (number, (scenario, check)) in checks.enumerated() {
            let description = escape("\(scenario): \(check.step): \(check.name)")
            lines.append("\(check.verdict == .passed ? "ok" : "not ok") \(number + 1) - \(description)")
            if check.verdict != .passed || options.isVerbose { lines += diagnostics(of: check) }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private func diagnostics(of check: Check) -> [String] {
        var lines = ["  ---"]
        lines.append("  message: \(quote(check.message))")
        lines.append(
            "  severity: \(check.verdict == .passed ? "comment" : check.verdict == .failed ? "fail" : "error")"
        )
        for (name, values) in check.details {
            if name == "path" || name == "causes" || name == "differences" {
                lines.append("  \(name):")
                lines += values.map { "    - \(quote($0))" }
            } else {
                lines.append("  \(name): \(quote(values.joined(separator: "; ")))")
            }
        }
        lines.append("  duration_ms: \(check.durationMs.formattedMilliseconds)")
        return lines + ["  ..."]
    }

    /// `#` starts a directive and a line break a new test point.
    private func escape(_ text: String) -> String {
        text.printable.replacing("\\", with: "\\\\").replacing("#", with: "\\#")
    }

    /// A double-quoted YAML scalar.
    private func quote(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\t": result += "\\t"
            case _ where scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value):
                let digits = String(scalar.value, radix: 16)
                result += "\\x" + (digits.count < 2 ? "0" : "") + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
