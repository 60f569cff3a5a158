/// What a comparison of two data planes found: scenarios run on both, held against each other.
/// Encodes as `egress-lab/comparison/v1`.
package struct RunComparison: Codable, Sendable {
    package static let schemaName = "egress-lab/comparison/v1"

    package struct Summary: Codable, Sendable, Equatable {
        package var scenarios = 0
        package var flows = 0
        package var commands = 0
        package var assertions = 0
        package var differences = 0
        /// Scenarios that a side could not finish or judge.
        package var errors = 0
        /// Flows, commands and assertions that did the same on both sides, and not what the scenario expects.
        package var unexpected = 0
    }

    package var schema = RunComparison.schemaName
    package var scenarios: [ScenarioComparison]
    package var summary: Summary

    package init(scenarios: [ScenarioComparison]) {
        self.scenarios = scenarios
        summary = Summary()
        summary.scenarios = scenarios.count
        summary.errors = scenarios.count { $0.left.result == .error || $0.right.result == .error }
        for item in scenarios.flatMap(\.items) {
            switch item.kind {
            case .flow: summary.flows += 1
            case .command: summary.commands += 1
            case .assertion: summary.assertions += 1
            case .scenario: break
            }
            summary.differences += item.differences.count
            if item.isUnexpectedOnBoth { summary.unexpected += 1 }
        }
    }

    /// The exit status that the comparison deserves: 4 where a side has no result, 1 for differences and for what both
    /// sides agree on and nobody expected.
    package var exitCode: Int32 {
        if summary.errors > 0 { return 4 }
        return summary.differences > 0 || summary.unexpected > 0 ? 1 : 0
    }
}

/// One scenario's two results, held against each other.
package struct ScenarioComparison: Codable, Sendable {
    /// A side in short.
    package struct Side: Codable, Sendable, Equatable {
        package var dataPlane: String
        package var result: ScenarioResult.Result
        package var error: String?
        package var durationMs: Double

        package init(_ result: ScenarioResult) {
            dataPlane = result.dataPlane
            self.result = result.result
            error = result.error
            durationMs = result.durationMs
        }
    }

    package var name: String
    package var title: String
    package var path: String
    package var left: Side
    package var right: Side
    /// Everything that was compared, in the order of the scenario.
    package var items: [ComparedItem]

    package init(name: String, title: String, path: String, left: Side, right: Side, items: [ComparedItem]) {
        self.name = name
        self.title = title
        self.path = path
        self.left = left
        self.right = right
        self.items = items
    }

    /// All differences, each with where it was found.
    package var differences: [Difference] {
        items.flatMap { item in
            item.differences.map {
                Difference(
                    scenario: name, step: item.step, kind: item.kind, subject: item.subject, location: item.location,
                    field: $0.field, left: $0.left, right: $0.right)
            }
        }
    }
}

/// A flow, command or assertion that both sides carried out; or the scenario as a whole.
package struct ComparedItem: Codable, Sendable, Equatable {
    package enum Kind: String, Codable, Sendable { case scenario, flow, command, assertion }

    /// The step's name; empty for the scenario as a whole.
    package var step: String
    package var kind: Kind
    /// A flow's id, a command's pod and text, an assertion's message.
    package var subject: String
    /// What a reader wants to see beside the subject: a flow's way.
    package var detail: String?
    /// Where the scenario asks for it: `file:line`.
    package var location: String
    package var differences: [FieldDifference]
    /// Both sides agree, and neither did what the scenario expects.
    package var isUnexpectedOnBoth: Bool

    package init(
        step: String, kind: Kind, subject: String, detail: String? = nil, location: String,
        differences: [FieldDifference] = [], isUnexpectedOnBoth: Bool = false
    ) {
        self.step = step
        self.kind = kind
        self.subject = subject
        self.detail = detail
        self.location = location
        self.differences = differences
        self.isUnexpectedOnBoth = isUnexpectedOnBoth
    }
}

/// A field that two sides have different values for; nil: that side has none.
package struct FieldDifference: Codable, Sendable, Equatable {
    /// `outcome`, `headers.server`, `access-log[sidecar default/sleep].response_flags`, …
    package var field: String
    package var left: String?
    package var right: String?

    package init(_ field: String, _ left: String?, _ right: String?) {
        self.field = field
        self.left = left
        self.right = right
    }

    package func encode(to encoder: any Encoder) throws {
        // Both keys always, null where there is nothing.
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(field, forKey: .field)
        try container.encode(left, forKey: .left)
        try container.encode(right, forKey: .right)
    }
}

/// A difference on its own, with where it was found.
package struct Difference: Sendable, Equatable {
    package var scenario: String
    package var step: String
    package var kind: ComparedItem.Kind
    package var subject: String
    package var location: String
    package var field: String
    package var left: String?
    package var right: String?
}
