package import Evidence

/// What a reader of a report wants of it.
package struct ReportOptions: Sendable, Equatable {
    /// The terminal understands colour, and nobody said `NO_COLOR`.
    package var usesColor: Bool
    /// The evidence of every flow, not only of those that did not do what was expected.
    package var isVerbose: Bool

    package init(usesColor: Bool = false, isVerbose: Bool = false) {
        self.usesColor = usesColor
        self.isVerbose = isVerbose
    }
}

/// One way to tell what a run found; every format renders the same values.
package protocol ReportFormat: Sendable {
    /// The name that `--format` takes.
    static var name: String { get }
    init()
    /// The whole report, with its final newline.
    func render(_ result: RunResult, options: ReportOptions) throws -> String
    /// The same of two data planes held against each other.
    func render(_ comparison: RunComparison, options: ReportOptions) throws -> String
}

/// The formats, by the names that the command line takes.
package enum ReportFormats {
    /// What `--format` offers.
    package static let all: [any ReportFormat.Type] = [
        TextReport.self, JSONReport.self, TAPReport.self,
    ]

    package static var names: [String] { all.map { $0.name } }

    package static func format(named name: String) -> (any ReportFormat)? {
        all.first { $0.name == name }.map { $0.init() }
    }
}
