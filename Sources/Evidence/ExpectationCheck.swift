package import Manifests

/// Holds what was observed against what a scenario expects.
package struct ExpectationCheck: Sendable {
    package init() {}

    /// Each difference in a sentence; empty when the flow did what was expected.
    package func mismatches(_ expected: FlowExpectation, _ verdict: FlowVerdict, _ client: ClientSaw) -> [String] {
        var result: [String] = []
        if verdict.outcome != expected.outcome {
            result.append("expected \(expected.outcome.rawValue), observed \(verdict.outcome.rawValue)")
        }
        if let by = expected.by, verdict.by != by {
            result.append("expected by \(by.rawValue), observed \(verdict.by?.rawValue ?? "nobody")")
        }
        if let path = expected.path, !matches(path, verdict.path) {
            result.append("expected path \(list(path)), observed \(list(verdict.path))")
        }
        if let status = expected.status, client.status != status {
            result.append("expected status \(status), observed \(client.status.map(String.init) ?? "none")")
        }
        for (name, value) in expected.headers.sorted(by: { $0.key < $1.key }) {
            let found = client.headers.filter { $0.name.lowercased() == name.lowercased() }.map(\.value)
            if let value {
                if !found.contains(value) {
                    result.append("expected header \(name): \(value), observed \(list(found))")
                }
            } else if !found.isEmpty {
                result.append("expected no header \(name), observed \(list(found))")
            }
        }
        if let body = expected.body, !client.body.contains(body) {
            result.append("expected a body that contains '\(body)', observed '\(excerpt(client.body))'")
        }
        if let range = expected.durationMs, !range.contains(client.durationMs) {
            result.append(
                "expected \(range.lowerBound) to \(range.upperBound) ms, observed \(client.durationMs.rounded()) ms")
        }
        if let error = expected.error, !(client.error ?? "").contains(error) {
            result.append("expected error '\(error)', observed '\(client.error ?? "none")'")
        }
        return result
    }

    /// `sidecar` stands for any sidecar; `sidecar default/sleep` for that one. Both lists have the same length.
    private func matches(_ expected: [String], _ observed: [String]) -> Bool {
        expected.count == observed.count
            && zip(expected, observed).allSatisfy { $0 == $1 || $1.hasPrefix($0 + " ") }
    }

    private func list(_ items: [String]) -> String { "[" + items.joined(separator: ", ") + "]" }

    private func excerpt(_ text: String) -> String { text.count > 120 ? text.prefix(120) + "…" : text }
}
