/// `networking.istio.io/WorkloadEntry`: an endpoint outside Kubernetes that ServiceEntries select by its labels.
package struct WorkloadEntry: Resource, Equatable {
    package static let kind = "WorkloadEntry"
    package var metadata: ObjectMeta
    /// Its labels are `metadata.labels` and the `labels` of the specification together.
    package var endpoint: ServiceEntry.Endpoint

    package init(metadata: ObjectMeta, endpoint: ServiceEntry.Endpoint) {
        self.metadata = metadata
        self.endpoint = endpoint
    }

    /// Reads `networking.istio.io/WorkloadEntry`.
    init?(reading object: ObjectReader) {
        guard let spec = object.spec(ServiceEntry.endpointFields),
            var endpoint = ServiceEntry.endpoint(spec, nil, nil)
        else { return nil }
        endpoint.labels.merge(object.metadata.labels) { own, _ in own }
        self.init(metadata: object.metadata, endpoint: endpoint)
    }
}
