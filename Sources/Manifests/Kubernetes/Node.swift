/// `v1/Node`, as far as pods choose nodes by it.
package struct Node: Resource, Equatable {
    package static let kind = "Node"
    package static let isClusterScoped = true
    package var metadata: ObjectMeta

    /// Its labels, with `kubernetes.io/hostname` as every node has it.
    package var labels: [String: String] {
        metadata.labels.merging(["kubernetes.io/hostname": metadata.name]) { own, _ in own }
    }

    package init(metadata: ObjectMeta) { self.metadata = metadata }

    /// Reads `v1/Node`.
    init?(reading object: ObjectReader) {
        object.root.check("apiVersion kind metadata spec status")
        self.init(metadata: object.metadata)
    }
}
