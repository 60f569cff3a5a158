import Evidence
import Manifests

/// The end of the text report: counts, then by name what nobody expected, escapes first.
struct SummaryText {
    var result: RunResult
    var ink: Ink

    var lines: [String] {
        let summary = result.summary
        var lines = [ink("── summary " + String(repeating: "─", count: TextReport.width - 11), .bold)]
        lines.append("   \(counted(summary.scenarios, "scenario")): \(scenarioCounts)")
        lines.append(
            "   \(counted(summary.flows, "flow")): \(summary.allowed) allowed, \(summary.denied) denied, "
                + "\(escapedCount), \(summary.failed) failed, \(summary.inconclusive) inconclusive; "
                + (summary.unexpected == 0
                    ? "none unexpected" : ink("\(summary.unexpected) unexpected", .alarm)))
        lines += matrices
        lines += list(
            "Escaped, and nobody expected it:", .alarm,
            flows { !$0.passed && $0.observed.outcome == .escaped })
        lines += list("Inconclusive:", .magenta, flows { $0.observed.outcome == .inconclusive })
        lines += list(
            "Not as expected:", .red,
            flows {
                !$0.passed && $0.observed.outcome != .escaped && $0.observed.outcome != .inconclusive
            })
        lines += list(
            "Escaped, as expected:", .yellow, flows { $0.passed && $0.observed.outcome == .escaped })
        lines += otherFailures
        lines += errors
        return lines
    }

    /// Their questions are no flows, and counted apart.
    private var matrices: [String] {
        let all = result.scenarios.flatMap(\.steps).compactMap(\.matrix)
        guard !all.isEmpty else { return [] }
        let (probes, reached) = (all.map(\.summary.probes).reduce(0, +), all.map(\.summary.reached).reduce(0, +))
        let differing = all.map(\.differences.count).reduce(0, +)
        let noun = all.count == 1 ? "1 matrix" : "\(all.count) matrices"
        let isCompared = all.contains(where: \.isCompared)
        let word = differing == 0 ? ", as kept" : ink(", " + counted(differing, "difference"), .alarm)
        return ["   \(noun): \(counted(probes, "probe")), \(reached) reached\(isCompared ? word : "")"]
    }

    private var scenarioCounts: String {
        let passed = result.scenarios.count { $0.result == .passed }
        let failed = result.scenarios.count { $0.result == .failed }
        let errors = result.scenarios.count { $0.result == .error }
        return ["\(passed) passed", "\(failed) failed", errors == 0 ? nil : counted(errors, "error")]
            .compactMap { $0 }.joined(separator: ", ")
    }

    private var escapedCount: String {
        let text = "\(result.summary.escaped) escaped"
        return result.summary.escaped == 0 ? text : ink(text, .yellow)
    }

    private func flows(where isWanted: (FlowResult) -> Bool) -> [String] {
        result.scenarios.flatMap { scenario in
            scenario.steps.flatMap(\.flows).filter(isWanted).map { flow in
                var text = "\(scenario.name) \(flow.id): \(FlowText.route(flow))"
                if flow.observed.outcome == .escaped, let technique = flow.observed.technique {
                    text += ", by \(technique.printable)"
                }
                return text
            }
        }
    }

    /// Commands and assertions, which the flow counts leave out.
    private var otherFailures: [String] {
        let checks = result.scenarios.flatMap { scenario in
            scenario.steps.flatMap { step in
                step.commands.filter { !$0.passed }.map {
                    "\(scenario.name): \($0.in) $ \($0.run.printable)"
                }
                    + step.assertions.filter { !$0.passed }.map {
                        "\(scenario.name): \($0.message.printable)"
                    }
            }
        }
        return list("Commands and assertions that failed:", .red, checks)
    }

    private var errors: [String] {
        list(
            "Scenarios without a result:", .magenta,
            result.scenarios.filter { $0.result == .error }.map {
                "\($0.name): \(($0.error ?? "the lab failed").printable)"
            })
    }

    private func list(_ title: String, _ color: Ink.Color, _ items: [String]) -> [String] {
        items.isEmpty ? [] : ["   " + ink(title, color)] + items.flatMap { hanging("     - ", $0) }
    }
}
