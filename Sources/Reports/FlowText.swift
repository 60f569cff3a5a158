import Evidence
import Manifests

/// One flow of the text report: a line, and below it what explains a denial, an escape or a surprise.
struct FlowText {
    /// Where details start.
    static let indent = 6

    /// Widths that the flows of a step share.
    struct Columns {
        var id: Int
        var route: Int

        init(_ flows: [FlowResult]) {
            // A single long name must not push every other line over the edge.
            id = min(flows.map(\.id.count).max() ?? 0, 24)
            route = min(flows.map { FlowText.route($0).count }.max() ?? 0, 54)
        }
    }

    var flow: FlowResult
    var columns: Columns
    var ink: Ink
    var isVerbose: Bool

    var lines: [String] {
        let observed = flow.observed
        var lines = headline
        lines += detailLines("differs", remainingMismatches, ink)
        if observed.outcome == .escaped {
            lines += detailLines("way out", observed.technique.map { [$0.printable] } ?? [], ink)
        }
        if observed.outcome == .denied || observed.outcome == .escaped {
            lines += detailLines("because", observed.causes.map(\.printable), ink)
        }
        if observed.outcome != .allowed || !flow.passed || isVerbose {
            lines += detailLines("seen", observed.reason.isEmpty ? [] : [observed.reason.printable], ink)
        }
        // What the client saw explains a surprise; it decides nothing.
        if let error = observed.error, !flow.passed || observed.outcome == .failed || isVerbose {
            lines += detailLines("client", [error.printable], ink)
        }
        if !flow.passed { lines += detailLines("asked at", [flow.location], ink) }
        if !flow.passed || isVerbose { lines += evidenceLines(flow.evidence, ink, isVerbose: isVerbose) }
        return lines
    }

    static func route(_ flow: FlowResult) -> String { "\(flow.from) → \(flow.to.printable)" }

    /// The flow's line; what does not fit beside the route becomes a detail below.
    private var headline: [String] {
        let left = "  \(mark) " + flow.id.padded(to: columns.id) + "  "
        let route = Self.route(flow)
        var facts = outcome
        let beside = left.count + max(route.count, columns.route) + 2
        while let last = facts.last, beside + facts.joined(separator: ", ").count > TextReport.width {
            // The status stays with the outcome; the path goes first.
            facts.removeLast()
            if last == outcome.first { break }
        }
        let rest = outcome.dropFirst(facts.count).joined(separator: ", ")
        let isPath = rest.hasPrefix("via ")
        let below = isPath ? String(rest.dropFirst(4)) : rest
        let label = isPath ? "via" : facts.isEmpty ? "outcome" : "with"
        let text =
            facts.isEmpty ? route : route.padded(to: columns.route) + "  " + facts.joined(separator: ", ")
        var first = [colored(colored(left, keyword: mark) + text, keyword: verdict)]
        if left.count + route.count > TextReport.width {
            let indent = String(repeating: " ", count: left.count)
            first = [colored(left, keyword: mark) + "\(flow.from) →", indent + flow.to.printable]
        }
        return first
            + detailLines(label, below.isEmpty ? [] : [below], ink)
            .map { colored($0, keyword: verdict) }
    }

    private var mark: String {
        switch flow.observed.outcome {
        case .inconclusive: "?"
        case .escaped: "!"
        default: flow.passed ? "✓" : "✗"
        }
    }

    /// The outcome, loud where it is bad news.
    private var verdict: String {
        let observed = flow.observed.outcome
        let expected = flow.expected.outcome
        let word = observed == .escaped ? "ESCAPED" : observed.rawValue
        if observed != expected { return "\(word), expected \(expected.rawValue)" }
        return observed == .escaped ? "\(word) as expected" : word
    }

    /// Outcome, status and path: as many as there are.
    private var outcome: [String] {
        let observed = flow.observed
        var parts = [verdict]
        if let by = observed.by { parts[0] += " by \(by.rawValue)" }
        if let status = observed.status { parts.append("\(status)") }
        let path = observed.path.map(shortened)
        if path.isEmpty {
            // Of an escape it goes without saying.
            if observed.outcome == .allowed { parts.append("no proxy") }
        } else if observed.outcome != .denied || path != observed.by.map({ [$0.rawValue] }) {
            parts.append("via " + path.joined(separator: ", ").printable)
        }
        return parts
    }

    /// The source's own sidecar needs no name: the line names the source already.
    private func shortened(_ hop: String) -> String {
        let source = flow.from.split(separator: ":").first.map(String.init) ?? flow.from
        return hop == "sidecar \(source)" ? "sidecar" : hop
    }

    /// The outcome's own mismatch stands in the headline.
    private var remainingMismatches: [String] {
        let headline =
            "expected \(flow.expected.outcome.rawValue), observed \(flow.observed.outcome.rawValue)"
        return flow.mismatches.filter { $0 != headline }.map(\.printable)
    }

    private func colored(_ text: String, keyword: String?) -> String {
        guard let keyword, let range = text.firstRange(of: keyword) else { return text }
        return text[..<range.lowerBound] + ink(keyword, color) + text[range.upperBound...]
    }

    private var color: Ink.Color {
        switch flow.observed.outcome {
        case .inconclusive: .magenta
        case .escaped: flow.passed ? .yellow : .alarm
        default: flow.passed ? .green : .red
        }
    }
}
