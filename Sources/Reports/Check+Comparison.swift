import Evidence

extension Check {
    /// What was compared of a scenario, in its order; a side's own failure is the last.
    static func all(of scenario: ScenarioComparison) -> [Check] {
        scenario.items.map { Check($0, scenario) }
            + [scenario.left, scenario.right].filter { $0.result == .error }.map { side in
                Check(
                    name: "the lab of \(scenario.name) on \(side.dataPlane)", step: "lab", verdict: .error,
                    message: side.error ?? "the lab failed", details: [("at", [scenario.path])],
                    durationMs: side.durationMs)
            }
    }

    private init(_ item: ComparedItem, _ scenario: ScenarioComparison) {
        let differences = item.differences.map { difference in
            "\(difference.field): \(scenario.left.dataPlane) \(difference.left.told), "
                + "\(scenario.right.dataPlane) \(difference.right.told)"
        }
        self.init(
            name: item.subject + (item.detail.map { ": \($0)" } ?? ""),
            step: item.step.isEmpty ? item.kind.rawValue : item.step,
            verdict: differences.isEmpty && !item.isUnexpectedOnBoth ? .passed : .failed,
            message: differences.isEmpty
                ? (item.isUnexpectedOnBoth ? "both sides agree, but not with the scenario" : "no difference")
                : differences.joined(separator: "; "),
            details: [("differences", differences), ("at", [item.location])], durationMs: 0)
        failureType = differences.isEmpty ? "unexpected" : "difference"
    }
}

extension String? {
    /// A value of a difference, or that there is none.
    var told: String { map { $0.isEmpty ? "nothing" : $0 } ?? "none" }
}
