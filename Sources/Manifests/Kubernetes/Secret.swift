/// `v1/Secret`: certificates and keys that gateways and sidecars name by `credentialName`.
package struct Secret: Resource, Equatable {
    package static let kind = "Secret"
    package var metadata: ObjectMeta
    /// `Opaque` where the manifest says nothing.
    package var type: String
    /// `data`, decoded, with `stringData` over it.
    package var data: [String: [UInt8]]

    package init(metadata: ObjectMeta, type: String = "Opaque", data: [String: [UInt8]] = [:]) {
        self.metadata = metadata
        self.type = type
        self.data = data
    }
}

extension Secret {
    private static let fields: FieldNames = "apiVersion kind metadata type data stringData immutable"

    /// Reads `v1/Secret`.
    init?(reading object: ObjectReader) {
        object.root.check(Self.fields)
        self.init(metadata: object.metadata, type: object.root["type"]?.string ?? "Opaque")
        for entry in object.root["data"]?.entries ?? [] where !entry.field.node.isNull {
            data[entry.key] = entry.field.base64
        }
        for entry in object.root["stringData"]?.entries ?? [] where !entry.field.node.isNull {
            data[entry.key] = entry.field.string.map { Array($0.utf8) }
        }
        guard type == "kubernetes.io/tls" else { return }
        let given = ["data", "stringData"].compactMap { object.root[$0] }
        for name in ["tls.crt", "tls.key"] where !given.contains(where: { $0[name] != nil }) {
            object.root.error("a Secret of type kubernetes.io/tls needs \(name)")
        }
    }
}
