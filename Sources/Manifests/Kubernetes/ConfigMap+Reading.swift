extension ConfigMap {
    private static let fields: FieldNames = "apiVersion kind metadata data binaryData immutable"

    /// Reads `v1/ConfigMap`. Istio's own ones, wherever they are, are read as mesh configuration too.
    init?(reading object: ObjectReader) {
        object.root.check(Self.fields)
        var data: [String: Located<String>] = [:]
        var meshConfig: MeshConfig?
        let name = object.metadata.name
        for entry in object.root["data"]?.entries ?? [] {
            guard !entry.field.node.isNull else { continue }
            data[entry.key] = entry.field.locatedString
            if entry.key == "mesh", name == "istio" {
                meshConfig = MeshConfig(readingText: entry.field)
            } else if entry.key == "values", name == "istio-sidecar-injector" {
                meshConfig = MeshConfig(readingValuesText: entry.field)
            }
        }
        self.init(metadata: object.metadata, data: data, meshConfig: meshConfig)
    }
}
