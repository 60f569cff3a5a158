/// `security.istio.io/PeerAuthentication`: what sidecars accept inbound.
package struct PeerAuthentication: Resource, Equatable {
    package enum Mode: String, Sendable, CaseIterable {
        /// Inherited from what is wider.
        case unset = "UNSET"
        case disable = "DISABLE"
        case permissive = "PERMISSIVE"
        case strict = "STRICT"
    }

    package static let kind = "PeerAuthentication"
    package var metadata: ObjectMeta
    /// nil: every workload of the namespace; in the root namespace, of the mesh.
    package var selector: [String: String]?
    /// nil: inherited.
    package var mtls: Located<Mode>?
    /// By port of the workload, not of the Service.
    package var portLevelMtls: [UInt16: Located<Mode>]

    package init(
        metadata: ObjectMeta, selector: [String: String]? = nil, mtls: Located<Mode>? = nil,
        portLevelMtls: [UInt16: Located<Mode>] = [:]
    ) {
        self.metadata = metadata
        self.selector = selector
        self.mtls = mtls
        self.portLevelMtls = portLevelMtls
    }
}

extension PeerAuthentication {
    private static let rootFields: FieldNames = "apiVersion kind metadata spec status"

    /// Reads `security.istio.io/PeerAuthentication`; one without spec is PERMISSIVE by inheritance.
    init?(reading object: ObjectReader) {
        object.root.check(Self.rootFields)
        self.init(metadata: object.metadata)
        guard let spec = object.root["spec"], spec.check("selector mtls portLevelMtls") else { return }
        if let field = spec["selector"], field.check("matchLabels") {
            let labels = field["matchLabels"]?.stringMap ?? [:]
            selector = labels.isEmpty ? nil : labels
        }
        mtls = spec["mtls"].flatMap(Self.mode)
        guard let ports = spec["portLevelMtls"] else { return }
        if selector == nil { ports.error("portLevelMtls needs a selector", remedy: "name the workloads' labels") }
        for entry in ports.entries {
            guard let port = UInt16(entry.key), port > 0 else {
                entry.field.say(.error, "\"\(entry.key)\" is not a port number", at: entry.location)
                continue
            }
            portLevelMtls[port] = Self.mode(entry.field)
        }
    }

    private static func mode(_ field: FieldReader) -> Located<Mode>? {
        guard field.check("mode"), let named = field["mode"] else { return nil }
        return named.choice(Mode.self).map { Located($0, at: named.location) }
    }
}
