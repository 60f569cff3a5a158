package import NetworkAddresses

/// `v1/Service`.
package struct Service: Resource, Equatable {
    package enum ServiceType: String, Sendable {
        case clusterIP = "ClusterIP"
        case nodePort = "NodePort"
        case loadBalancer = "LoadBalancer"
        case externalName = "ExternalName"
    }

    package enum TargetPort: Sendable, Equatable {
        case number(UInt16)
        case name(String)
    }

    package struct Port: Sendable, Equatable {
        package var name: String
        package var number: UInt16
        package var targetPort: TargetPort
        package var transport: IPProtocol
        package var appProtocol: String?
        package var location: SourceLocation

        package init(
            name: String = "", number: UInt16, targetPort: TargetPort? = nil, transport: IPProtocol = .tcp,
            appProtocol: String? = nil, location: SourceLocation
        ) {
            self.name = name
            self.number = number
            self.targetPort = targetPort ?? .number(number)
            self.transport = transport
            self.appProtocol = appProtocol
            self.location = location
        }
    }

    package static let kind = "Service"
    package var metadata: ObjectMeta
    package var type: ServiceType
    /// nil: a Service without selector, whose endpoints are given by hand.
    package var selector: [String: String]?
    package var ports: [Port]
    /// `clusterIP: None`.
    package var isHeadless: Bool
    /// `clusterIPs` as the manifest gives them; empty: the lab chooses.
    package var clusterIPs: [IPAddress]
    package var externalName: String?

    package init(
        metadata: ObjectMeta, type: ServiceType = .clusterIP, selector: [String: String]? = nil, ports: [Port] = [],
        isHeadless: Bool = false, clusterIPs: [IPAddress] = [], externalName: String? = nil
    ) {
        self.metadata = metadata
        self.type = type
        self.selector = selector
        self.ports = ports
        self.isHeadless = isHeadless
        self.clusterIPs = clusterIPs
        self.externalName = externalName
    }
}

/// `v1/ConfigMap`.
package struct ConfigMap: Resource, Equatable {
    package static let kind = "ConfigMap"
    package var metadata: ObjectMeta
    package var data: [String: Located<String>]
    /// What Istio's own ConfigMaps say: key `mesh` of `istio`, key `values` of `istio-sidecar-injector`.
    package var meshConfig: MeshConfig?

    package init(metadata: ObjectMeta, data: [String: Located<String>], meshConfig: MeshConfig? = nil) {
        self.metadata = metadata
        self.data = data
        self.meshConfig = meshConfig
    }
}
