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
        return isResetBehindLongBody(finding, flow) || isPartOfLongRequest(finding, flow)
    }

    /// What a destination refuses by a reset before all of it has come: the bundled proxy, whose receive buffer begins
    /// with 256 bytes and doubles, has read less of it by then than Envoy, and counts that.
    private func isPartOfLongRequest(_ finding: Finding, _ flow: YAMLValue) -> Bool {
        let length = (flow["body"]?.string?.utf8.count ?? 0) + (flow["path"]?.string?.utf8.count ?? 0)
        guard flow["to"]?.string?.hasPrefix("http://") == true, length >= 1024,
            let left = finding.left.flatMap({ Int($0) }), let right = finding.right.flatMap({ Int($0) })
        else { return false }
        return finding.field.wholeMatch(of: /access-log\[sidecar [^ \]]+\]\.bytes_(sent|received)/) != nil
            && [256, 768, 1792, 3840].contains(left) && right > length
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
