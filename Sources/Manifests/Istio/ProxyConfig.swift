/// `networking.istio.io/ProxyConfig`: what proxies are started with.
package struct ProxyConfig: Resource, Equatable {
    package static let kind = "ProxyConfig"
    package var metadata: ObjectMeta
    /// nil: every workload of the namespace; in the root namespace, of the mesh.
    package var selector: [String: String]?
    /// Laid over the `proxyMetadata` of the mesh.
    package var environmentVariables: [String: Located<String>]

    package init(
        metadata: ObjectMeta, selector: [String: String]? = nil, environmentVariables: [String: Located<String>] = [:]
    ) {
        self.metadata = metadata
        self.selector = selector
        self.environmentVariables = environmentVariables
    }
}

extension ProxyConfig {
    private static let rootFields: FieldNames = "apiVersion kind metadata spec status"

    /// Reads `networking.istio.io/ProxyConfig`; threads and images of proxies are of no consequence here.
    init?(reading object: ObjectReader) {
        object.root.check(Self.rootFields)
        self.init(metadata: object.metadata)
        guard let spec = object.root["spec"], spec.check("selector concurrency environmentVariables image") else {
            return
        }
        if let field = spec["selector"], field.check("matchLabels") {
            let labels = field["matchLabels"]?.stringMap ?? [:]
            selector = labels.isEmpty ? nil : labels
        }
        _ = spec["concurrency"]?.integer()
        spec["image"]?.check("imageType")
        for entry in spec["environmentVariables"]?.entries ?? [] {
            CaptureLists.checkProxyMetadata(entry.key, entry.field)
            environmentVariables[entry.key] = entry.field.text.map { Located($0, at: entry.field.location) }
        }
    }
}
