/// `networking.istio.io/Sidecar`.
package struct Sidecar: Resource, Equatable {
    /// One element of `egress`.
    package struct EgressListener: Sendable, Equatable {
        /// `port.number`; nil: every port that no other element names.
        package var port: UInt16?
        package var portProtocol: PortProtocol?
        /// `namespace/dnsName` as written.
        package var hosts: [Located<String>]
        package var location: SourceLocation

        package init(
            port: UInt16? = nil, portProtocol: PortProtocol? = nil, hosts: [Located<String>], location: SourceLocation
        ) {
            self.port = port
            self.portProtocol = portProtocol
            self.hosts = hosts
            self.location = location
        }
    }

    package static let kind = "Sidecar"
    package var metadata: ObjectMeta
    /// nil: the namespace's default.
    package var workloadSelector: [String: String]?
    /// nil: not given, everything is in scope.
    package var egress: [EgressListener]?
    /// nil: no block; the mesh's value holds. A block without mode is REGISTRY_ONLY.
    package var outboundTrafficPolicy: Located<MeshConfig.OutboundTrafficPolicy>?

    package init(
        metadata: ObjectMeta, workloadSelector: [String: String]? = nil, egress: [EgressListener]? = nil,
        outboundTrafficPolicy: Located<MeshConfig.OutboundTrafficPolicy>? = nil
    ) {
        self.metadata = metadata
        self.workloadSelector = workloadSelector
        self.egress = egress
        self.outboundTrafficPolicy = outboundTrafficPolicy
    }
}
