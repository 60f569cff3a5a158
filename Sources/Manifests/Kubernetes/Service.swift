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
        /// As the manifest gives it; nil: the lab chooses, where the Service's type has node ports.
        package var nodePort: UInt16?
        package var location: SourceLocation

        package init(
            name: String = "", number: UInt16, targetPort: TargetPort? = nil, transport: IPProtocol = .tcp,
            appProtocol: String? = nil, nodePort: UInt16? = nil, location: SourceLocation
        ) {
            self.name = name
            self.number = number
            self.targetPort = targetPort ?? .number(number)
            self.transport = transport
            self.appProtocol = appProtocol
            self.nodePort = nodePort
            self.location = location
        }
    }

    /// Which endpoints traffic may be led to: all, or those on the node that leads it.
    package enum TrafficPolicy: String, Sendable, CaseIterable {
        case cluster = "Cluster"
        case local = "Local"
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
    /// The families that it has ClusterIPs of, in order.
    package var families: [IPFamily]
    /// For calls from within the cluster to the ClusterIPs.
    package var internalTrafficPolicy: TrafficPolicy
    /// For calls to node ports, external addresses and the load balancer's.
    package var externalTrafficPolicy: TrafficPolicy
    /// For how long a client stays with an endpoint after its last connection; nil: `sessionAffinity: None`.
    package var affinitySeconds: Int?
    /// Endpoints that are not ready count like those that are.
    package var publishesNotReadyAddresses: Bool
    /// `externalIPs`: addresses that lead to the Service on every node.
    package var externalIPs: [IPAddress]
    /// The load balancer's addresses by `status.loadBalancer` or `loadBalancerIP`; empty: the lab chooses.
    package var loadBalancerIPs: [IPAddress]
    /// Who may call the load balancer's addresses; of a family that none is of, everybody.
    package var loadBalancerSourceRanges: [IPPrefix] = []

    package init(
        metadata: ObjectMeta, type: ServiceType = .clusterIP, selector: [String: String]? = nil, ports: [Port] = [],
        isHeadless: Bool = false, clusterIPs: [IPAddress] = [], externalName: String? = nil,
        families: [IPFamily] = IPFamily.allCases, internalTrafficPolicy: TrafficPolicy = .cluster,
        externalTrafficPolicy: TrafficPolicy = .cluster, affinitySeconds: Int? = nil,
        publishesNotReadyAddresses: Bool = false, externalIPs: [IPAddress] = [], loadBalancerIPs: [IPAddress] = []
    ) {
        self.metadata = metadata
        self.type = type
        self.selector = selector
        self.ports = ports
        self.isHeadless = isHeadless
        self.clusterIPs = clusterIPs
        self.externalName = externalName
        self.families = families
        self.internalTrafficPolicy = internalTrafficPolicy
        self.externalTrafficPolicy = externalTrafficPolicy
        self.affinitySeconds = affinitySeconds
        self.publishesNotReadyAddresses = publishesNotReadyAddresses
        self.externalIPs = externalIPs
        self.loadBalancerIPs = loadBalancerIPs
    }

    /// True for the types whose ports are open on every node.
    package var hasNodePorts: Bool { type == .nodePort || type == .loadBalancer }
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
