package import Evidence
import FoundationEssentials

/// `egress-lab/results/v1`: the result itself, for programs. Keys are sorted, so that two reports compare line by line.
package struct JSONReport: ReportFormat {
    package static let name = "json"

    package init() {}

    package func render(_ result: RunResult, options: ReportOptions) throws -> String { try encoded(result) }

    /// `egress-lab/comparison/v1`.
    package func render(_ comparison: RunComparison, options: ReportOptions) throws -> String {
        try encoded(comparison)
    }

    private func encoded(_ result: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        let data = try encoder.encode(result)
        return String(decoding: data, as: UTF8.self) + "\n"
    }
}
