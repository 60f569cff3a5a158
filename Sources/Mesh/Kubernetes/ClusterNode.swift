package import Manifests
package import NetworkAddresses

/// A node of the cluster.
package struct ClusterNode: Sendable, Equatable {
    package var name: String
    /// IPv4 first unless the manifest says otherwise.
    package var addresses: [IPAddress]
    /// nil: no manifest describes the node, so nothing tells which pods it would not take.
    package var properties: Properties?

    /// What decides which pods go to a node.
    package struct Properties: Sendable, Equatable {
        package var labels: [String: String]
        package var taints: [Taint]
        package var isUnschedulable: Bool

        package init(labels: [String: String], taints: [Taint] = [], isUnschedulable: Bool = false) {
            self.labels = labels
            self.taints = taints
            self.isUnschedulable = isUnschedulable
        }
    }

    package init(name: String, addresses: [IPAddress], properties: Properties? = nil) {
        self.name = name
        self.addresses = addresses
        self.properties = properties
    }

    /// The node of a lab whose manifests say nothing of nodes.
    package static let only = ClusterNode(name: LabNetwork.nodeName, addresses: LabNetwork.nodeAddresses(0))

    /// True where the scheduler would put a pod that names no node.
    func takes(_ spec: PodSpec) -> Bool {
        guard let properties else { return true }
        let isTolerated = properties.taints.allSatisfy { taint in
            taint.effect == .preferNoSchedule || spec.tolerations.contains { $0.tolerates(taint) }
        }
        return !properties.isUnschedulable && isTolerated
            && spec.nodeSelector.allSatisfy { properties.labels[$0.key] == $0.value }
            && (spec.nodeTerms.isEmpty
                || spec.nodeTerms.contains { $0.matches(name: name, labels: properties.labels) })
    }
}
