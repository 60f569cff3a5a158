/// The volumes that annotations give to a sidecar: `sidecar.istio.io/userVolume` and `userVolumeMount`, JSON by name.
package struct AnnotatedVolumes: Sendable {
    static let volumeAnnotation = "sidecar.istio.io/userVolume"
    static let mountAnnotation = "sidecar.istio.io/userVolumeMount"

    package private(set) var volumes: [Volume] = []
    package private(set) var mounts: [VolumeMount] = []

    /// Reads a pod's annotations; what is wrong in them was told when the pod was read.
    package init(_ annotations: [String: Located<String>]) {
        func reader(_ key: String) -> FieldReader? {
            annotations[key].map { annotation in
                let node = ManifestNode(
                    .scalar(.init(text: annotation.value, style: .quoted, origin: nil)), at: annotation.location)
                let subject = FieldReader.Subject(kind: "Pod", log: DiagnosticLog())
                return FieldReader(node: node, path: "", subject: subject)
            }
        }
        volumes = reader(Self.volumeAnnotation).map(Self.volumes) ?? []
        mounts = reader(Self.mountAnnotation).map(Self.mounts) ?? []
    }

    static func volumes(_ field: FieldReader) -> [Volume] {
        entries(field).compactMap { Volume(reading: $0.field, name: $0.name) }
    }

    static func mounts(_ field: FieldReader) -> [VolumeMount] {
        entries(field).compactMap { VolumeMount(reading: $0.field, name: $0.name) }
    }

    /// A map by name, or a list of elements with names.
    private static func entries(_ field: FieldReader) -> [(name: String, field: FieldReader)] {
        guard let inner = field.nested else { return [] }
        if inner.isMapping { return inner.entries.map { ($0.key, $0.field) } }
        return inner.list.compactMap { element in element.required("name")?.string.map { ($0, element) } }
    }
}
