import Manifests
import NetworkAddresses

/// Finds pods their nodes: the one they name, else among those that take them the one with the fewest pods so far.
struct Scheduler {
    private let nodes: [ClusterNode]
    private var loads: [Int]
    private var ports = HostPorts()

    init(_ nodes: [ClusterNode]) {
        self.nodes = nodes
        loads = nodes.map { _ in 0 }
    }

    /// A pod runs on `node` already.
    mutating func count(_ pod: PodID, _ spec: PodSpec, on node: String) {
        ports.take(spec, of: pod, on: node)
        if let position = nodes.firstIndex(where: { $0.name == node }) { loads[position] += 1 }
    }

    /// The node for a pod that starts; `previous` is where it ran and is counted, and where it stays if it can.
    ///
    /// nil: no node takes it; Kubernetes leaves such a pod pending.
    mutating func place(_ pod: PodID, _ spec: PodSpec, from previous: String) -> String? {
        let candidates = candidates(for: spec).filter {
            ports.collision(spec, of: pod, on: nodes[$0].name) == nil
        }
        let old = nodes.firstIndex { $0.name == previous }
        ports.release(pod)
        if let old, candidates.contains(old) {
            ports.take(spec, of: pod, on: previous)
            return previous
        }
        guard let chosen = candidates.min(by: { (loads[$0], $0) < (loads[$1], $1) }) else { return nil }
        if let old { loads[old] -= 1 }
        loads[chosen] += 1
        ports.take(spec, of: pod, on: nodes[chosen].name)
        return nodes[chosen].name
    }

    /// The nodes that would take a pod if it had no ports of theirs.
    private func candidates(for spec: PodSpec) -> [Int] {
        nodes.indices.filter { position in
            spec.nodeName.map { $0 == nodes[position].name } ?? nodes[position].takes(spec)
        }
    }

    /// Why no node takes the pod.
    func diagnostic(_ pod: PodID, _ spec: PodSpec, at location: SourceLocation) -> Diagnostic {
        let names = nodes.map(\.name).joined(separator: ", ")
        let collisions = candidates(for: spec).compactMap { position in
            ports.collision(spec, of: pod, on: nodes[position].name).map { (nodes[position].name, $0) }
        }
        if let (node, collision) = collisions.first {
            let claim = collision.claim
            let others = collisions.count - 1
            return Diagnostic(
                .warning,
                "pod \(pod) stays pending: \(claim.transport.description.uppercased()) \(claim.port) of node \(node) is"
                    + " pod \(collision.owner)'s"
                    + (others > 0 ? ", and no other node has room either" : ""),
                remedy: "one pod of a node can have a port of it: use fewer replicas, another port or more nodes",
                at: location)
        }
        if let name = spec.nodeName {
            return Diagnostic(
                .warning, "pod \(pod) stays pending: there is no node \(name)",
                remedy: "the nodes are \(names)", at: location)
        }
        let wanted = spec.nodeSelector.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        let selecting = wanted.isEmpty ? "" : " with the labels \(wanted.joined(separator: ", "))"
        return Diagnostic(
            .warning, "pod \(pod) stays pending: no node\(selecting) takes it",
            remedy: "the nodes are \(names); look at their labels and taints, and at the pod's tolerations",
            at: location)
    }
}
