extension Namespace {
    /// Reads `v1/Namespace` and adds the label that Kubernetes adds.
    init?(reading object: ObjectReader) {
        object.root.check("apiVersion kind metadata spec status")
        var metadata = object.metadata
        metadata.labels["kubernetes.io/metadata.name"] = metadata.name
        self.init(metadata: metadata)
    }
}

extension ServiceAccount {
    /// Reads `v1/ServiceAccount`.
    init?(reading object: ObjectReader) {
        object.root.check("apiVersion kind metadata secrets imagePullSecrets automountServiceAccountToken")
        self.init(metadata: object.metadata)
    }
}
