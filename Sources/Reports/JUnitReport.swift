package import Evidence

/// JUnit XML as CI systems read it: a suite a scenario, a case a flow, command and assertion.
///
/// Follows the schema of Jenkins' xUnit plugin (`junit-10.xsd`). Something else observed is a `failure`; lost or
/// contradicting evidence is an `error`.
package struct JUnitReport: ReportFormat {
    package static let name = "junit"

    package init() {}

    package func render(_ result: RunResult, options: ReportOptions) -> String {
        let suites = result.scenarios.map { (scenario: $0, checks: Check.all(of: $0)) }
        let all = suites.flatMap(\.checks)
        var lines = [#"<?xml version="1.0" encoding="UTF-8"?>"#]
        let time = result.scenarios.map(\.durationMs).reduce(0, +)
        lines.append("<testsuites\(attributes(name: "egress-lab", all, timeMs: time))>")
        for (scenario, checks) in suites {
            lines.append(
                "  <testsuite\(attributes(name: scenario.name, checks, timeMs: scenario.durationMs))>")
            lines.append("    <properties>")
            for (name, value) in [("path", scenario.path), ("dataPlane", scenario.dataPlane)] {
                lines.append("      <property name=\"\(name)\" value=\"\(escape(value))\"/>")
            }
            lines.append("    </properties>")
            lines += checks.flatMap { testCase($0, in: scenario, options) }
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

    private func testCase(_ check: Check, in scenario: ScenarioResult, _ options: ReportOptions)
        -> [String]
    {
        let open =
            "    <testcase classname=\"\(escape("\(scenario.name).\(check.step)"))\" name=\"\(escape(check.name))\""
            + " time=\"\(seconds(check.durationMs))\""
        let details = check.details.map { "\($0.name): \($0.values.joined(separator: "; "))" }.joined(
            separator: "\n")
        switch check.verdict {
        case .passed where details.isEmpty: return [open + "/>"]
        case .passed:
            return [open + ">", "      <system-out>\(escape(details))</system-out>", "    </testcase>"]
        case .failed, .error:
            let element = check.verdict == .failed ? "failure" : "error"
            let type = check.verdict == .failed ? "unexpected" : "inconclusive"
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
