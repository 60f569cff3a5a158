import Foundation

/// The bundled proxy beside its rivals: every round measures each of them once, so that all see the same machine.
enum ProxyComparison {
    static let name = "the proxy beside its rivals"
    private static let rounds = 5

    /// The figures of one proxy once, as a line of JSON; `arguments` are those that `run` gave the process.
    static func measure(_ contender: String) throws -> String {
        guard let contender = ProxyContender(rawValue: contender) else { throw BenchmarkError("no proxy \(contender)") }
        return String(decoding: try JSONEncoder().encode(ProxyMeasurement(contender).measure()), as: UTF8.self)
    }

    /// - Parameter child: runs a measurement in a process of its own and gives its last line.
    static func run(_ child: (_ contender: String) throws -> String) throws {
        let contenders = ProxyContender.allCases.filter { $0.executable != nil }
        var measured: [ProxyContender: [ProxyFigures]] = [:]
        for _ in 0..<rounds {
            for contender in contenders {
                let line = try child(contender.rawValue)
                let figures = try JSONDecoder().decode(ProxyFigures.self, from: Data(line.utf8))
                measured[contender, default: []].append(figures)
            }
        }
        let missing = ProxyContender.allCases.filter { !contenders.contains($0) }
        print("\n\(name), one worker thread each, \(rounds) rounds: median (min..max)")
        if !missing.isEmpty { print("not installed: \(missing.map(\.rawValue).joined(separator: ", "))") }
        print(row("", contenders.map(\.rawValue), "of Envoy's", "reach"))
        for figure in ProxyFigure.allCases {
            let columns = contenders.map { Spread(measured[$0]?.compactMap { $0[figure] } ?? []) }
            let own = measured[.own].flatMap { Spread($0.compactMap { $0[figure] }) }?.median
            let envoy = measured[.envoy].flatMap { Spread($0.compactMap { $0[figure] }) }?.median
            let ratio = own.flatMap { own in envoy.map { own / $0 } }
            print(
                row(
                    figure.title, columns.map { $0?.text ?? "-" }, ratio.map { String(format: "%.2f", $0) } ?? "-",
                    figure.verdict(ratio)))
        }
    }

    private static func row(_ title: String, _ columns: [String], _ ratio: String, _ verdict: String) -> String {
        let cells = [(title, 38)] + columns.map { ($0, 28) } + [(ratio, 10), (verdict, 0)]
        return cells.map { $0.padding(toLength: max($1, $0.count), withPad: " ", startingAt: 0) }
            .joined(separator: "  ")
    }
}

extension ProxyFigure {
    /// What is to be reached, and whether it is.
    fileprivate func verdict(_ ratio: Double?) -> String {
        guard let ratio, let reach else { return "" }
        return switch reach {
        case .atLeast(let part): ">= \(part): \(ratio >= part ? "reached" : "missed")"
        case .atMost(let part): "<= \(part): \(ratio <= part ? "reached" : "missed")"
        }
    }
}

/// The values of a figure.
private struct Spread {
    let median: Double
    let text: String

    init?(_ values: [Double]) {
        let sorted = values.sorted()
        guard let first = sorted.first, let last = sorted.last else { return nil }
        median = sorted[sorted.count / 2]
        text = "\(Self.text(median)) (\(Self.text(first))..\(Self.text(last)))"
    }

    private static func text(_ value: Double) -> String {
        abs(value) >= 100 ? String(format: "%.0f", value) : String(format: "%.3g", value)
    }
}
