import Evidence

/// What random meshes show of the differences that the README lists as known, told apart from all others: each by the
/// flow that brings it about, and by what the two sides say then.
struct KnownDifferences: Sendable {
    private let flows: [String: YAMLValue]

    init(in mesh: GeneratedMesh) {
        flows = Dictionary(mesh.flows.compactMap { flow in flow["id"]?.string.map { ($0, flow) } }) { $1 }
    }

    /// True for what the bundled proxy, on the left, and Envoy, on the right, are known to differ in.
    func contains(_ finding: Finding) -> Bool {
        guard finding.kind == .flow, let flow = flows[finding.subject] else { return false }
        return isResetBehindLongBody(finding, flow)
    }

    /// A body of some KiB that a second sidecar refuses before all of it has come: the first one, in the middle of it,
    /// sees a reset where Envoy sees the end.
    private func isResetBehindLongBody(_ finding: Finding, _ flow: YAMLValue) -> Bool {
        guard flow["to"]?.string?.hasPrefix("http://") == true, let body = flow["body"]?.string,
            body.utf8.count >= 1024
        else { return false }
        return finding.field.wholeMatch(of: /access-log\[sidecar [^ \]]+\]\.response_flags/) != nil
            && (finding.left, finding.right) == ("UR", "-")
    }
}
