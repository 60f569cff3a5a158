import Manifests

/// Holds two results of one scenario against each other: step by step, flow by flow, field by field.
///
/// Only what `VolatileText` and a step's `choices` name may differ. An inconclusive flow is a difference on whichever
/// side it is: without evidence nothing agrees.
package struct ResultComparison: Sendable {
    package init() {}

    package func compare(_ left: ScenarioResult, _ right: ScenarioResult) -> ScenarioComparison {
        var items: [ComparedItem] = []
        let whole = scenario(left, right)
        if !whole.differences.isEmpty { items.append(whole) }
        for (leftStep, rightStep) in zip(left.steps, right.steps) { items += step(leftStep, rightStep) }
        return ScenarioComparison(
            name: left.name, title: left.title, path: left.path, left: ScenarioComparison.Side(left),
            right: ScenarioComparison.Side(right), items: items)
    }

    // MARK: The scenario as a whole

    private func scenario(_ left: ScenarioResult, _ right: ScenarioResult) -> ComparedItem {
        var fields = FieldComparison()
        // An inconclusive flow is told where it is.
        let isJudged = { (result: ScenarioResult) in
            result.steps.flatMap(\.flows).allSatisfy { $0.observed.outcome != .inconclusive }
        }
        if isJudged(left), isJudged(right) { fields.compare("error", left.error, right.error) }
        fields.compare("steps", "\(left.steps.count)", "\(right.steps.count)")
        return ComparedItem(
            step: "", kind: .scenario, subject: left.name, location: left.path, differences: fields.differences)
    }

    // MARK: A step

    private func step(_ left: StepResult, _ right: StepResult) -> [ComparedItem] {
        let choices = (left.choices ?? []) + (right.choices ?? [])
        let flows = paired(left.flows, right.flows, by: \.id).map { left, right in
            FlowComparison(left: left, right: right, choices: choices)
        }
        return flows.map { $0.item(step: left.name) }
            + paired(left.commands, right.commands) { "\($0.in) \($0.run)" }.map { command(left.name, $0, $1) }
            + zip(left.assertions, right.assertions).map { assertion(left.name, $0, $1) }
            + zip([left.matrix].compactMap(\.self), [right.matrix].compactMap(\.self)).map {
                matrix(left.name, $0, $1)
            }
    }

    /// Every cell counts, but a table of them is one item.
    private func matrix(_ step: String, _ left: MatrixResult, _ right: MatrixResult) -> ComparedItem {
        var fields = FieldComparison()
        for (own, other) in zip(left.tables, right.tables) {
            for (source, rows) in zip(left.from, zip(own.rows, other.rows)) {
                for (destination, cells) in zip(left.to, zip(rows.0, rows.1)) where cells.0 != cells.1 {
                    fields.differ(
                        "\(own.name) \(source.name) -> \(destination.name)", "\(cells.0)", "\(cells.1)")
                }
            }
        }
        return ComparedItem(
            step: step, kind: .assertion, subject: "matrix", location: left.location, differences: fields.differences,
            isUnexpectedOnBoth: fields.differences.isEmpty && !left.passed)
    }

    /// Pairs in the left side's order; a scenario's steps ask the same of both sides.
    private func paired<Element, Key: Hashable>(
        _ left: [Element], _ right: [Element], by key: (Element) -> Key
    ) -> [(Element, Element)] {
        var rest = Dictionary(grouping: right, by: key)
        return left.compactMap { element in
            guard let other = rest[key(element)]?.first else { return nil }
            rest[key(element)]?.removeFirst()
            return (element, other)
        }
    }

    private func command(_ step: String, _ left: CommandResult, _ right: CommandResult) -> ComparedItem {
        var fields = FieldComparison()
        fields.compare("exitCode", "\(left.exitCode)", "\(right.exitCode)")
        fields.compare("stdout", left.stdout, right.stdout)
        fields.compare("stderr", left.stderr, right.stderr)
        fields.comparePassed(left.passed, right.passed)
        return ComparedItem(
            step: step, kind: .command, subject: "\(left.in) $ \(left.run)", location: left.location,
            differences: fields.differences,
            isUnexpectedOnBoth: fields.differences.isEmpty && !left.passed)
    }

    private func assertion(_ step: String, _ left: AssertionResult, _ right: AssertionResult) -> ComparedItem {
        var fields = FieldComparison()
        // Of what grows with time it counts whether it began.
        let text: (UInt64) -> String = { left.growsWithTime == true ? ($0 == 0 ? "none" : "some") : "\($0)" }
        fields.compare("observed", left.observed.map(text), right.observed.map(text))
        fields.comparePassed(left.passed, right.passed)
        return ComparedItem(
            step: step, kind: .assertion, subject: left.message, location: left.location,
            differences: fields.differences,
            isUnexpectedOnBoth: fields.differences.isEmpty && !left.passed)
    }
}

/// Collects the fields that differ.
struct FieldComparison {
    private(set) var differences: [FieldDifference] = []
    private var pairing = RequestIDPairing()

    mutating func compare(_ field: String, _ left: String?, _ right: String?) {
        switch (left, right) {
        case (nil, nil): return
        case (let left?, let right?) where pairing.areEqual(left, right): return
        default: differ(field, left, right)
        }
    }

    mutating func differ(_ field: String, _ left: String?, _ right: String?) {
        differences.append(FieldDifference(field, left, right))
    }

    /// What the scenario expects and only one side gave, where no field says why (a duration, say).
    mutating func comparePassed(_ left: Bool, _ right: Bool) {
        if differences.isEmpty { compare("passed", "\(left)", "\(right)") }
    }
}
