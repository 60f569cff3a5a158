/// A volume of a pod.
package struct Volume: Sendable, Equatable {
    package enum Source: Sendable, Equatable {
        /// The files of a ConfigMap, or those of its keys that `items` names, by path.
        case configMap(name: String, items: [String: String], isOptional: Bool)
        /// The files of a Secret.
        case secret(name: String, items: [String: String], isOptional: Bool)
        case emptyDirectory
        /// Any other kind, by its field: `hostPath`, `projected`.
        case other(String)
    }

    package var name: String
    package var source: Source
    package var location: SourceLocation

    package init(name: String, source: Source, location: SourceLocation) {
        self.name = name
        self.source = source
        self.location = location
    }
}

/// Where a container sees a volume.
package struct VolumeMount: Sendable, Equatable {
    /// The volume's name.
    package var name: String
    package var mountPath: String
    /// One file or directory of the volume; nil: all of it.
    package var subPath: String?
    package var isReadOnly: Bool
    package var location: SourceLocation

    package init(
        name: String, mountPath: String, subPath: String? = nil, isReadOnly: Bool = false, location: SourceLocation
    ) {
        self.name = name
        self.mountPath = mountPath
        self.subPath = subPath
        self.isReadOnly = isReadOnly
        self.location = location
    }
}

extension Volume {
    /// Reads one element of a pod's `volumes`.
    init?(reading field: FieldReader) {
        // The kinds of volumes are many and none but these matters to the network.
        guard field.isMapping else {
            field.check("")
            return nil
        }
        guard let name = field.required("name")?.string else { return nil }
        self.init(reading: field, name: name)
    }

    /// Reads what a volume of that name is made of.
    init?(reading field: FieldReader, name: String) {
        self.init(name: name, source: .emptyDirectory, location: field.location)
        if let map = field["configMap"], map.check("name items defaultMode optional") {
            source = .configMap(
                name: map["name"]?.string ?? "", items: Self.items(map), isOptional: map["optional"]?.boolean ?? false)
        } else if let secret = field["secret"], secret.check("secretName items defaultMode optional") {
            source = .secret(
                name: secret["secretName"]?.string ?? "", items: Self.items(secret),
                isOptional: secret["optional"]?.boolean ?? false)
        } else if let kind = field.node.keys.first(where: { $0 != "name" }), kind != "emptyDir" {
            source = .other(kind)
        }
    }

    /// Paths by key.
    private static func items(_ field: FieldReader) -> [String: String] {
        var result: [String: String] = [:]
        for element in field["items"]?.list ?? [] {
            element.check("key path mode")
            guard let key = element.required("key")?.string else { continue }
            result[key] = element.required("path")?.string
        }
        return result
    }
}

extension VolumeMount {
    /// Reads one element of a container's `volumeMounts`.
    init?(reading field: FieldReader) {
        guard field.check("mountPath mountPropagation name readOnly recursiveReadOnly subPath subPathExpr"),
            let name = field.required("name")?.string
        else { return nil }
        self.init(reading: field, name: name)
    }

    /// Reads where the volume of that name is seen.
    init?(reading field: FieldReader, name: String) {
        guard let path = field.required("mountPath")?.string else { return nil }
        self.init(
            name: name, mountPath: path, subPath: field["subPath"]?.string,
            isReadOnly: field["readOnly"]?.boolean ?? false, location: field.location)
    }
}
