package import Manifests
import NetworkAddresses

/// What a matrix found: a cell for each question, and what differs from the table that was kept.
package struct MatrixResult: Codable, Sendable {
    /// A pod as an end of pairs, or the internet.
    package struct End: Codable, Sendable, Hashable {
        /// `namespace/name`, or `internet`.
        package var name: String
        /// `namespace/workload`; what a table may call all of a workload's pods.
        package var workload: String

        package init(name: String, workload: String) {
            self.name = name
            self.workload = workload
        }
    }

    /// The answers to one probe: a line of cells for each of `from`, a cell for each of `to`.
    package struct Table: Codable, Sendable {
        package var `protocol`: String
        package var port: UInt16
        package var rows: [String]

        package init(_ probe: MatrixProbe, rows: [String]) {
            self.protocol = probe.transport.description.uppercased()
            self.port = probe.port
            self.rows = rows
        }

        /// `TCP 80`.
        package var name: String { "\(self.protocol) \(port)" }
    }

    package struct Summary: Codable, Sendable, Equatable {
        package var probes = 0
        package var reached = 0
        package var denied = 0
        package var failed = 0
        package var inconclusive = 0
    }

    /// How often something stopped a question.
    package struct Denial: Codable, Sendable, Equatable {
        package var reason: String
        package var count: Int

        package init(reason: String, count: Int) {
            self.reason = reason
            self.count = count
        }
    }

    /// How many questions have answers that only the order of policies with equal priorities decides.
    package struct Ambiguity: Codable, Sendable, Equatable {
        package var policies: String
        package var count: Int

        package init(policies: String, count: Int) {
            self.policies = policies
            self.count = count
        }
    }

    package var from: [End]
    package var to: [End]
    package var tables: [Table]
    package var summary: Summary
    /// What stopped the denied ones, the most frequent first.
    package var denials: [Denial]
    /// What differs from the kept table, each in a sentence; empty when nothing does.
    package var differences: [String]
    /// True where there is a kept table.
    package var isCompared: Bool
    /// What the policies, evaluated a second time, say otherwise than the kernel did; nil: nothing.
    package var disagreements: [String]?
    /// nil: none.
    package var ambiguous: [Ambiguity]?
    package var durationMs: Double
    /// Where the scenario asks for it: `file:line`.
    package var location: String

    package init(
        from: [End], to: [End], tables: [Table], denials: [Denial] = [], durationMs: Double = 0, location: String
    ) {
        self.from = from
        self.to = to
        self.tables = tables
        self.denials = denials
        self.durationMs = durationMs
        self.location = location
        differences = []
        isCompared = false
        summary = Summary()
        for cell in tables.lazy.flatMap(\.rows).joined() {
            summary.probes += 1
            switch MatrixCell(rawValue: cell) {
            case .reached: summary.reached += 1
            case .denied: summary.denied += 1
            case .failed: summary.failed += 1
            case .inconclusive, nil: summary.inconclusive += 1
            }
        }
    }

    package var passed: Bool { differences.isEmpty && summary.inconclusive == 0 }

    /// Holds the answers against a kept table.
    package mutating func compare(with kept: KeptMatrix) {
        isCompared = true
        differences = MatrixComparison(kept: kept).differences(from: self)
    }
}
