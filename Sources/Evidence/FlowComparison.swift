import Manifests

/// Two results of one flow, held against each other.
struct FlowComparison {
    let left: FlowResult
    let right: FlowResult
    /// Sets of hosts and clusters of which a proxy may take any, and of servers of which a node may.
    let choices: [[String]]

    func item(step: String) -> ComparedItem {
        var fields = FieldComparison()
        let records = RecordComparison(left: left, right: right, choices: choices)
        compareObserved(&fields, tookOtherWays: records.tookOtherWays)
        records.compare(&fields)
        compareArrivals(&fields, tookOtherWays: records.tookOtherWays)
        fields.comparePassed(left.passed, right.passed)
        return ComparedItem(
            step: step, kind: .flow, subject: left.id, detail: "\(left.from) → \(left.to)", location: left.location,
            differences: fields.differences, isUnexpectedOnBoth: fields.differences.isEmpty && !left.passed)
    }

    // MARK: What was observed

    private func compareObserved(_ fields: inout FieldComparison, tookOtherWays: Bool) {
        let (left, right) = (left.observed, right.observed)
        if left.outcome == .inconclusive || right.outcome == .inconclusive {
            fields.differ("outcome", outcome(left), outcome(right))
        } else {
            fields.compare("outcome", left.outcome.rawValue, right.outcome.rawValue)
        }
        fields.compare("by", left.by?.rawValue, right.by?.rawValue)
        if tookOtherWays {
            fields.compare("path", "\(left.path.count) proxies", "\(right.path.count) proxies")
        } else {
            fields.compare("path", list(left.path), list(right.path))
        }
        fields.compare("causes", list(left.causes), list(right.causes))
        fields.compare("technique", left.technique, right.technique)
        fields.compare("status", left.status.map { "\($0)" }, right.status.map { "\($0)" })
        fields.compare("error", left.error, right.error)
        compareHeaders(&fields, left.headers, right.headers)
        fields.compare("body", left.body?.text, right.body?.text)
        fields.compare("body.sha256", left.body?.sha256, right.body?.sha256)
        compareDuration(&fields, left, right)
    }

    private func outcome(_ observed: FlowResult.Observed) -> String {
        observed.outcome == .inconclusive
            ? "\(observed.outcome.rawValue): \(observed.reason)" : observed.outcome.rawValue
    }

    private func list(_ items: [String]) -> String? { items.isEmpty ? nil : items.joined(separator: ", ") }

    /// The order of header fields means nothing but among those of one name (RFC 9110, 5.3).
    private func compareHeaders(
        _ fields: inout FieldComparison, _ left: [ReceivedHeader]?, _ right: [ReceivedHeader]?
    ) {
        let (left, right) = (values(left), values(right))
        for name in Set(left.keys).union(right.keys).sorted() {
            let isVolatile = VolatileText.headers[name.lowercased()] != nil
            if isVolatile, left[name] != nil, right[name] != nil { continue }
            fields.compare("headers.\(name)", left[name], right[name])
        }
    }

    private func values(_ headers: [ReceivedHeader]?) -> [String: String] {
        Dictionary((headers ?? []).map { ($0.name, $0.value) }) { "\($0)\n\($1)" }
    }

    /// Machines pause: durations differ when they are more than a second, and more than half of the shorter one, apart.
    /// What a scenario expects of them is asked of each side anyway.
    private func compareDuration(
        _ fields: inout FieldComparison, _ left: FlowResult.Observed, _ right: FlowResult.Observed
    ) {
        let (short, long) = (min(left.durationMs, right.durationMs), max(left.durationMs, right.durationMs))
        if long - short > max(1000, short / 2) {
            fields.differ("duration", "\(Int(left.durationMs)) ms", "\(Int(right.durationMs)) ms")
        }
    }

    // MARK: What arrived

    /// What destinations received. How bytes fall into reads is the kernel's matter: of `data` only counts that it came.
    private func compareArrivals(_ fields: inout FieldComparison, tookOtherWays: Bool) {
        let (left, right) = (arrivals(left), arrivals(right))
        for stage in Set(left.keys).union(right.keys).sorted() {
            let (left, right) = (left[stage] ?? [], right[stage] ?? [])
            guard stage == "request" || stage == "clientHello" else {
                fields.compare("served.\(stage)", left.isEmpty ? "nothing" : "some", right.isEmpty ? "nothing" : "some")
                continue
            }
            fields.compare("served.\(stage)", counted(left.count), counted(right.count))
            for (number, (left, right)) in zip(left, right).enumerated() {
                let place = "served.\(stage)" + (number == 0 ? "" : " #\(number + 1)")
                if !tookOtherWays, !isChoice(left.at, right.at) { fields.compare("\(place).at", left.at, right.at) }
                for name in Set(left.detail.keys).union(right.detail.keys).subtracting(["tuple", "stage"]).sorted() {
                    fields.compare("\(place).\(name)", left.detail[name], right.detail[name])
                }
            }
        }
    }

    private func arrivals(_ flow: FlowResult) -> [String: [FlowResult.EvidenceItem]] {
        Dictionary(grouping: flow.evidence.filter { $0.kind == .served && $0.detail["stage"] != nil }) {
            $0.detail["stage"] ?? ""
        }
    }

    /// Whether the node may have drawn either.
    private func isChoice(_ left: String, _ right: String) -> Bool {
        choices.contains { $0.contains(left) && $0.contains(right) }
    }

    private func counted(_ number: Int) -> String { "\(number) times" }
}
