package import Evidence

/// JUnit XML as CI systems read it: a suite a scenario, a case a flow, command and assertion.
///
/// Follows the schema of Jenkins' xUnit plugin (`junit-10.xsd`). Something else observed is a `failure`; lost or
/// contradicting evidence is an `error`.
package struct JUnitReport: ReportFormat {
    package static let name = "junit"

    package init() {}

    package func render(_ result: RunResult, options: ReportOptions) -> String {
        render(
            result.scenarios.map {
                Suite(
                    name: $0.name, durationMs: $0.durationMs,
                    properties: [("path", $0.path), ("dataPlane", $0.dataPlane)], checks: Check.all(of: $0))
            })
    }

    package func render(_ comparison: RunComparison, options: ReportOptions) -> String {
        render(
            comparison.scenarios.map {
                Suite(
                    name: $0.name, durationMs: $0.left.durationMs + $0.right.durationMs,
                    properties: [("path", $0.path), ("left", $0.left.dataPlane), ("right", $0.right.dataPlane)],
                    checks: Check.all(of: $0))
            })
    }

    private struct Suite {
        var name: String
        var durationMs: Double
        var properties: [(name: String, value: String)]
        var checks: [Check]
    }

    private func render(_ suites: [Suite]) -> String {
        let all = suites.flatMap(\.checks)
        var lines = [#"<?xml version="1.0" encoding="UTF-8"?>"#]
        let time = suites.map(\.durationMs).reduce(0, +)
        lines.append("<testsuites\(attributes(name: "egress-lab", all, timeMs: time))>")
        for suite in suites {
            lines.append("  <testsuite\(attributes(name: suite.name, suite.checks, timeMs: suite.durationMs))>")
            lines.append("    <properties>")
            for (name, value) in suite.properties {
                lines.append("      <property name=\"\(name)\" value=\"\(escape(value))\"/>")
            }
            lines.append("    </properties>")
            lines += suite.checks.flatMap { testCase($0, in: suite.name) }
            lines.append("  </testsuite>")
        }
        return (lines + ["</testsuites>"]).joined(separator: "\n") + "\n"
    }

    private func attributes(name: String, _ checks: [Check], timeMs: Double) -> String {
        let failures = checks.count { $0.verdict == .failed }
        let errors = checks.count { $0.verdict == .error }
        return
            " name=\"\(escape(name))\" tests=\"\(checks.count)\" failures=\"\(failures)\" errors=\"\(errors)\""
            + " time=\"\(seconds(timeMs))\""
    }

    private func testCase(_ check: Check, in suite: String) -> [String] {
        let open =
            "    <testcase classname=\"\(escape("\(suite).\(check.step)"))\" name=\"\(escape(check.name))\""
            + " time=\"\(seconds(check.durationMs))\""
        let details = check.details.map { "\($0.name): \($0.values.joined(separator: "; "))" }.joined(
            separator: "\n")
        switch check.verdict {
        case .passed where details.isEmpty: return [open + "/>"]
        case .passed:
            return [open + ">", "      <system-out>\(escape(details))</system-out>", "    </testcase>"]
        case .failed, .error:
            let element = check.verdict == .failed ? "failure" : "error"
            let type = check.verdict == .failed ? check.failureType : "inconclusive"
            return [
                open + ">",
                "      <\(element) message=\"\(escape(check.message))\" type=\"\(type)\">\(escape(details))</\(element)>",
                "    </testcase>",
            ]
        }
    }

    private func seconds(_ milliseconds: Double) -> String {
        (milliseconds / 1000).formatted(decimals: 3)
    }

    /// Text for attributes and elements; characters that XML 1.0 forbids become U+FFFD.
    private func escape(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            // An attribute's literal line break is read as a space.
            case "\n": result += "&#10;"
            case "\t": result += "&#9;"
            case "\r": result += "&#13;"
            case _ where scalar.value < 0x20 || scalar.value == 0xFFFE || scalar.value == 0xFFFF:
                result += "\u{FFFD}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
