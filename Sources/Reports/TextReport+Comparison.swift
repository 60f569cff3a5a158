package import Evidence
import Manifests

extension TextReport {
    /// A line for each scenario, `=` or its differences; the last line is their number.
    package func render(_ comparison: RunComparison, options: ReportOptions) -> String {
        let ink = Ink(isOn: options.usesColor)
        let nameWidth = min(comparison.scenarios.map(\.name.printable.count).max() ?? 0, 40)
        var lines = comparison.scenarios.flatMap {
            ComparisonText(scenario: $0, nameWidth: nameWidth, ink: ink, isVerbose: options.isVerbose).lines
        }
        lines += unexpected(comparison, ink)
        let summary = comparison.summary
        if summary.errors > 0 {
            lines.append(
                ink("\(counted(summary.errors, "scenario")) without a result on both sides: see ? above", .magenta))
        }
        let end =
            "\(counted(summary.scenarios, "scenario")), \(counted(summary.flows, "flow")) compared, "
            + counted(summary.differences, "difference")
        lines.append(summary.differences == 0 ? end : ink(end, .alarm))
        return lines.joined(separator: "\n") + "\n"
    }

    /// What nobody expected, and both sides did: no difference, and yet no success.
    private func unexpected(_ comparison: RunComparison, _ ink: Ink) -> [String] {
        let items = comparison.scenarios.flatMap { scenario in
            scenario.items.filter(\.isUnexpectedOnBoth).map { (scenario, $0) }
        }
        guard !items.isEmpty else { return [] }
        return [ink("Alike on both sides, but not what the scenarios expect:", .red)]
            + items.flatMap { scenario, item in
                hanging("  - ", "\(scenario.name) \(item.subject), \(item.location)".printable)
            }
    }
}

private struct ComparisonText {
    var scenario: ScenarioComparison
    var nameWidth: Int
    var ink: Ink
    var isVerbose: Bool

    var lines: [String] {
        var lines = [heading]
        for side in [scenario.left, scenario.right] where side.result == .error {
            lines += hanging("    ? \(side.dataPlane): ", (side.error ?? "the lab failed").printable)
                .map { ink($0, .magenta) }
        }
        var step: String?
        for item in scenario.items where isVerbose || !item.differences.isEmpty {
            if item.step != step, !item.step.isEmpty { lines.append("  ▸ \(item.step.printable)") }
            step = item.step
            lines += itemLines(item)
        }
        return lines
    }

    private var heading: String {
        let isError = scenario.left.result == .error || scenario.right.result == .error
        let count = scenario.differences.count
        let mark = isError ? ink("?", .magenta) : count > 0 ? ink("≠", .alarm) : ink("=", .green)
        let flows = counted(scenario.items.count { $0.kind == .flow }, "flow")
        let found = count == 0 ? flows : "\(flows), \(counted(count, "difference"))"
        let times = [scenario.left, scenario.right].map { "\($0.dataPlane) \($0.durationMs.asDuration)" }
        return "\(mark) \(scenario.name.printable.padded(to: nameWidth))  \(found.padded(to: 24))  "
            + ink(times.joined(separator: ", "), .dim)
    }

    private func itemLines(_ item: ComparedItem) -> [String] {
        let mark = item.differences.isEmpty ? ink("=", .green) : ink("≠", .red)
        let name = item.subject + (item.detail.map { "  \($0)" } ?? "")
        let head = hanging("    \(item.differences.isEmpty ? "=" : "≠") ", name.printable)
        var lines = head.enumerated().map { $0 == 0 ? "    \(mark)" + $1.dropFirst(5) : $1 }
        guard !item.differences.isEmpty else { return lines }
        lines.append(String(repeating: " ", count: 8) + ink(item.location, .dim))
        for difference in item.differences {
            lines.append("      " + ink(difference.field.printable, .bold))
            let (left, right) = excerpts(difference.left.told, difference.right.told)
            lines += side(scenario.left.dataPlane, left) + side(scenario.right.dataPlane, right)
        }
        return lines
    }

    private func side(_ name: String, _ text: String) -> [String] {
        hanging("        \(name.padded(to: 8)) ", text.printable)
    }

    /// Long texts from a little before they part.
    private func excerpts(_ left: String, _ right: String) -> (String, String) {
        guard left.count > 160 || right.count > 160 else { return (left, right) }
        let common = zip(left, right).prefix { $0 == $1 }.count
        let start = max(0, common - 30)
        return (excerpt(left, from: start), excerpt(right, from: start))
    }

    private func excerpt(_ text: String, from start: Int) -> String {
        let part = text.dropFirst(start).prefix(80)
        return (start > 0 ? "…" : "") + part + (part.endIndex < text.endIndex ? "…" : "")
    }
}
