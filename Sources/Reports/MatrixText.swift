import Evidence
import Manifests

/// A matrix as the text report shows it: tables with numbered columns, and what differs from the kept one.
struct MatrixText {
    var matrix: MatrixResult
    var ink: Ink
    var isVerbose: Bool

    /// Longer names are cut in the middle.
    private static let longestName = 46
    private static let mostDifferences = 20

    var lines: [String] {
        let kept = matrix.kept
        // The mark's colour takes no columns: it is put in after wrapping.
        var lines = hanging("  * matrix ", headline)
        lines[0] = "  \(mark)" + lines[0].dropFirst(3)
        for section in kept.sections { lines += [""] + table(section) }
        if !matrix.differences.isEmpty {
            lines.append("")
            let shown = matrix.differences.prefix(isVerbose ? Int.max : Self.mostDifferences).map(\.printable)
            let more = matrix.differences.count - shown.count
            lines += detailLines("differs", shown + (more > 0 ? ["and \(more) more"] : []), ink)
        }
        if let disagreements = matrix.disagreements, !disagreements.isEmpty {
            let shown = disagreements.prefix(isVerbose ? Int.max : Self.mostDifferences).map(\.printable)
            let more = disagreements.count - shown.count
            lines += detailLines("disagree", shown + (more > 0 ? ["and \(more) more"] : []), ink)
        }
        if let ambiguous = matrix.ambiguous {
            lines += detailLines(
                "ambiguous",
                ambiguous.map { "\($0.policies.printable) have the same priority: \(counted($0.count, "probe"))" }, ink)
        }
        if isVerbose, !matrix.denials.isEmpty {
            lines += detailLines("denied by", matrix.denials.map { "\($0.count) x \($0.reason.printable)" }, ink)
        }
        if !matrix.passed { lines += detailLines("asked at", [matrix.location], ink) }
        return lines
    }

    private var mark: String {
        if matrix.summary.inconclusive > 0 { return ink("?", .magenta) }
        return matrix.passed ? ink("✓", .green) : ink("✗", .red)
    }

    /// What was asked and what came of it, in a sentence.
    var headline: String {
        let summary = matrix.summary
        var counts = ["\(summary.reached) reached", "\(summary.denied) denied"]
        if summary.failed > 0 { counts.append("\(summary.failed) failed") }
        if summary.inconclusive > 0 { counts.append("\(summary.inconclusive) inconclusive") }
        let comparison =
            !matrix.isCompared
            ? "" : matrix.differences.isEmpty ? "; as kept" : "; \(counted(matrix.differences.count, "difference"))"
        return "\(matrix.from.count) x \(matrix.to.count), \(matrix.tables.map(\.name).joined(separator: ", ")): "
            + "\(counted(summary.probes, "probe")), \(counts.joined(separator: ", "))\(comparison)"
            + " in \(matrix.durationMs.asDuration)"
    }

    private func table(_ section: KeptMatrix.Section) -> [String] {
        let numbers = Dictionary(section.columns.enumerated().map { ($1, $0 + 1) }) { first, _ in first }
        let digits = "\(section.columns.count)".count
        func head(_ number: Int?) -> String {
            let text = number.map { "\($0)" } ?? ""
            return "  " + String(repeating: " ", count: digits - text.count) + text + " "
        }
        let width = min(
            Self.longestName, max(section.probe.description.count, section.rows.map(\.name.count).max() ?? 0))
        let used = digits + 3 + width + 2
        // Columns stand apart where there is room for it.
        let gap = used + 2 * section.columns.count <= TextReport.width ? " " : ""
        var lines: [String] = []
        for place in (0..<digits).reversed() {
            var divisor = 1
            for _ in 0..<place { divisor *= 10 }
            let row = (1...max(section.columns.count, 1)).map { number in
                place > 0 && number < divisor ? " " : "\(number / divisor % 10)"
            }
            let name = place == digits - 1 ? section.probe.description : ""
            lines.append(head(nil) + ink(name, .bold) + pad(name, to: width) + "  " + row.joined(separator: gap))
        }
        for row in section.rows {
            let name = short(row.name)
            let cells = row.cells.map { cell -> String in
                switch cell {
                case .denied?: ink("X", .red)
                case .inconclusive?: ink("?", .magenta)
                case let cell: cell.map { String($0.rawValue) } ?? "*"
                }
            }
            lines.append(head(numbers[row.name]) + name + pad(name, to: width) + "  " + cells.joined(separator: gap))
        }
        let rows = Set(section.rows.map(\.name))
        for column in section.columns where !rows.contains(column) {
            lines.append(head(numbers[column]) + short(column))
        }
        return lines
    }

    private func pad(_ text: String, to width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count))
    }

    private func short(_ name: String) -> String {
        guard name.count > Self.longestName else { return name }
        let half = (Self.longestName - 1) / 2
        return name.prefix(half) + "…" + name.suffix(Self.longestName - 1 - half)
    }
}
