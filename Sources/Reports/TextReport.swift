package import Evidence
import Manifests

/// The report that a person reads: each flow on a line, and below a denial or an escape the manifest line that caused it.
package struct TextReport: ReportFormat {
    package static let name = "text"
    /// Lines are kept to this width where their words allow it.
    static let width = 100

    package init() {}

    package func render(_ result: RunResult, options: ReportOptions) -> String {
        let ink = Ink(isOn: options.usesColor)
        var lines: [String] = []
        for scenario in result.scenarios {
            lines += ScenarioText(scenario: scenario, ink: ink, isVerbose: options.isVerbose).lines + [""]
        }
        lines += SummaryText(result: result, ink: ink).lines
        return lines.joined(separator: "\n") + "\n"
    }
}

/// One scenario: heading, steps, and why it failed as a whole.
private struct ScenarioText {
    var scenario: ScenarioResult
    var ink: Ink
    var isVerbose: Bool

    var lines: [String] {
        var lines = heading
        for (number, step) in scenario.steps.enumerated() {
            lines += ["", "▸ \(ink("step \(number + 1):", .dim)) \(step.name.printable)"]
            lines += StepText(step: step, ink: ink, isVerbose: isVerbose).lines
        }
        if let error = scenario.error {
            lines.append("")
            lines += hanging("? ", error.printable).map { ink($0, .magenta) }
        }
        if !scenario.assumptions.isEmpty, isVerbose {
            lines +=
                ["", "assumed:"] + scenario.assumptions.flatMap { hanging("  - ", $0.printable) }
        }
        return lines
    }

    private var heading: [String] {
        let result =
            switch scenario.result {
            case .passed: ink("passed", .green)
            case .failed: ink("FAILED", .alarm)
            case .error: ink("ERROR", .magenta)
            }
        var lines = [
            ink("── \(scenario.name.printable) " + rule(after: scenario.name.printable.count + 4), .bold)
        ]
        if !scenario.title.isEmpty {
            lines += scenario.title.printable.wrapped(to: 97).map { "   " + $0 }
        }
        lines.append(
            "   " + ink("\(scenario.path), \(scenario.dataPlane) data plane: ", .dim) + result + time)
        return lines
    }

    private var time: String {
        scenario.durationMs > 0 ? ink(" in \(scenario.durationMs.asDuration)", .dim) : ""
    }

    private func rule(after used: Int) -> String {
        String(repeating: "─", count: max(3, TextReport.width - used))
    }
}

/// One step: its flows in aligned columns, then probes, commands and assertions.
private struct StepText {
    var step: StepResult
    var ink: Ink
    var isVerbose: Bool

    var lines: [String] {
        let columns = FlowText.Columns(step.flows)
        var lines = step.flows.flatMap {
            FlowText(flow: $0, columns: columns, ink: ink, isVerbose: isVerbose).lines
        }
        if let matrix = step.matrix { lines += MatrixText(matrix: matrix, ink: ink, isVerbose: isVerbose).lines }
        for probe in step.probes {
            let mark = probe.result == .contained ? ink("✓", .green) : ink("!", .alarm)
            lines.append(
                "  \(mark) probe \(probe.technique.printable)  \(probe.from)  \(probe.result.rawValue)")
            if probe.result == .escaped || isVerbose {
                lines += evidenceLines(probe.evidence, ink, isVerbose: isVerbose)
            }
        }
        lines += step.commands.flatMap(commandLines)
        for assertion in step.assertions {
            lines += hanging("  \(assertion.passed ? "✓" : "✗") assert ", assertion.message.printable)
                .map { assertion.passed ? $0 : ink($0, .red) }
            if !assertion.passed { lines += detailLines("asked at", [assertion.location], ink) }
        }
        return lines
    }

    private func commandLines(_ command: CommandResult) -> [String] {
        let mark = command.passed ? ink("✓", .green) : ink("✗", .red)
        let head = "  \(mark) \(ink(command.in, .dim)) $ \(command.run.printable)"
        let plainWidth = 2 + 2 + command.in.count + 3 + command.run.printable.count
        let exit = "exit \(command.exitCode)"
        var lines = [head + "  " + exit]
        if plainWidth + 2 + exit.count > TextReport.width {
            let indent = String(repeating: " ", count: FlowText.indent)
            let words = hanging("    \(command.in) $ ", command.run.printable)
            // The mark and the colour are put in after wrapping: they take no columns.
            lines = words.enumerated().map { number, line in
                number > 0 ? line : "  \(mark) " + ink(command.in, .dim) + line.dropFirst(4 + command.in.count)
            }
            lines.append(indent + exit)
        }
        if !command.passed {
            lines += detailLines("differs", command.mismatches.map(\.printable), ink)
            lines += detailLines("asked at", [command.location], ink)
        }
        if !command.passed || isVerbose {
            lines += output("stdout", command.stdout) + output("stderr", command.stderr)
        }
        return lines
    }

    /// The first lines of what a command printed; all of it is in the JSON.
    private func output(_ name: String, _ text: String) -> [String] {
        let shown = text.split(separator: "\n", omittingEmptySubsequences: false).prefix(12)
        return text.isEmpty
            ? [] : detailLines(name, shown.map { String($0.prefix(400)).printable }, ink)
    }
}

/// The lines of `text` under a first line's prefix, all starting in the same column.
func hanging(_ prefix: String, _ text: String) -> [String] {
    let indent = String(repeating: " ", count: prefix.count)
    let lines = text.wrapped(to: max(20, TextReport.width - prefix.count))
    return lines.isEmpty ? [prefix] : lines.enumerated().map { ($0 == 0 ? prefix : indent) + $1 }
}

/// Details under a flow: the label once, the texts in one column.
func detailLines(_ label: String, _ texts: [String], _ ink: Ink) -> [String] {
    texts.enumerated().flatMap { index, text in
        let prefix = String(repeating: " ", count: FlowText.indent)
        let name = (index == 0 ? label : "").padded(to: 10)
        return hanging(prefix + name, text).enumerated().map { number, line in
            guard number == 0, ink.isOn else { return line }
            return prefix + ink(name, .dim) + line.dropFirst(prefix.count + name.count)
        }
    }
}

/// Evidence: who saw it, and what.
func evidenceLines(_ evidence: [FlowResult.EvidenceItem], _ ink: Ink, isVerbose: Bool) -> [String] {
    detailLines("evidence", EvidenceText(evidence: evidence, isVerbose: isVerbose).lines, ink)
}
