package import NetworkAddresses

/// `v1/Node`, as far as pods choose nodes by it and packets find it.
package struct Node: Resource, Equatable {
    package static let kind = "Node"
    package static let isClusterScoped = true
    package var metadata: ObjectMeta
    /// `spec.taints`.
    package var taints: [Taint]
    /// `spec.unschedulable`: pods go there only by name.
    package var isUnschedulable: Bool
    /// `status.addresses` of type `InternalIP`, where a dump of a live cluster gives them.
    package var addresses: [IPAddress]

    package init(
        metadata: ObjectMeta, taints: [Taint] = [], isUnschedulable: Bool = false, addresses: [IPAddress] = []
    ) {
        self.metadata = metadata
        self.taints = taints
        self.isUnschedulable = isUnschedulable
        self.addresses = addresses
    }

    /// Reads `v1/Node`.
    init?(reading object: ObjectReader) {
        object.root.check("apiVersion kind metadata spec status")
        self.init(metadata: object.metadata)
        taints = object.root["spec"]?["taints"]?.list.compactMap { Taint(reading: $0) } ?? []
        isUnschedulable = object.root["spec"]?["unschedulable"]?.boolean ?? false
        addresses = (object.root["status"]?["addresses"]?.list ?? []).compactMap { element in
            element["type"]?.node.text == "InternalIP" ? element["address"]?.ipAddress : nil
        }
    }
}
