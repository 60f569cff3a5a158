/// `install.istio.io/v1alpha1/IstioOperator`: its `meshConfig` and `values`, and the gateways that it installs.
package struct IstioOperator: Resource, Equatable {
    package static let kind = "IstioOperator"
    package var metadata: ObjectMeta
    package var meshConfig: MeshConfig
    /// `default`, `demo`, `minimal`, …; nil where the manifest names none.
    package var profile: Located<String>?
    /// `components.ingressGateways` and `components.egressGateways`.
    package var gateways: [GatewayComponent]
    /// `values.gateways`: more of those, or gateways of its own.
    package var gatewayValues: [GatewayComponent]

    package init(
        metadata: ObjectMeta, meshConfig: MeshConfig, profile: Located<String>? = nil,
        gateways: [GatewayComponent] = [], gatewayValues: [GatewayComponent] = []
    ) {
        self.metadata = metadata
        self.meshConfig = meshConfig
        self.profile = profile
        self.gateways = gateways
        self.gatewayValues = gatewayValues
    }

    /// The gateways to install: those of the profile, where one is named, and those that are enabled by name, each with
    /// all that is said of it. An operator that says nothing of gateways installs none here.
    package var enabledGateways: [GatewayComponent] {
        var own = gateways
        var merged = (profile.map { Self.gateways(ofProfile: $0.value, at: $0.location) } ?? []).map { given in
            guard let index = own.firstIndex(where: { $0.name == given.name }) else { return given }
            return given.overlaid(by: own.remove(at: index))
        }
        merged += own
        for values in gatewayValues {
            let indices = merged.indices.filter { merged[$0].name == values.name }
            for index in indices { merged[index] = merged[index].overlaid(by: values) }
            if indices.isEmpty { merged.append(values) }
        }
        return merged.filter { $0.isEnabled ?? false }
    }

    private static func gateways(ofProfile name: String, at location: SourceLocation) -> [GatewayComponent] {
        let ingress = GatewayComponent(
            name: "istio-ingressgateway", direction: .ingress, isEnabled: true, location: location)
        let egress = GatewayComponent(
            name: "istio-egressgateway", direction: .egress, isEnabled: true, location: location)
        switch name {
        case "demo": return [ingress, egress]
        case "default", "openshift", "preview": return [ingress]
        default: return []
        }
    }
}

/// A gateway that Istio's operator or charts install: a Deployment, a Service and a service account of its name.
package struct GatewayComponent: Sendable, Equatable {
    package enum Direction: String, Sendable { case ingress, egress }

    /// A port of the gateway's Service.
    package struct Port: Sendable, Equatable {
        package var name: String
        package var number: UInt16
        package var targetPort: UInt16

        package init(name: String, number: UInt16, targetPort: UInt16? = nil) {
            self.name = name
            self.number = number
            self.targetPort = targetPort ?? number
        }
    }

    package var name: String
    package var direction: Direction
    package var isEnabled: Bool?
    /// nil: where Istio is.
    package var namespace: String?
    /// `label` or `labels`: what a Gateway's selector finds.
    package var labels: [String: String]
    /// Labels and annotations of the pods alone.
    package var podLabels: [String: String]
    package var podAnnotations: [String: String]
    /// nil: the charts' own.
    package var ports: [Port]?
    package var serviceType: String?
    package var serviceAnnotations: [String: String]
    package var replicas: Int?
    package var nodeSelector: [String: String]
    package var tolerations: [Toleration]
    package var environment: [String: String]
    /// `additionalContainers`: beside the proxy.
    package var additionalContainers: [Container]
    /// `configVolumes`, `secretVolumes` and `volumes`.
    package var volumes: [Volume]
    /// Where the proxy's own container sees them.
    package var volumeMounts: [VolumeMount]
    package var location: SourceLocation

    package init(
        name: String, direction: Direction, isEnabled: Bool? = nil, namespace: String? = nil,
        labels: [String: String] = [:], podLabels: [String: String] = [:], podAnnotations: [String: String] = [:],
        ports: [Port]? = nil, serviceType: String? = nil, serviceAnnotations: [String: String] = [:],
        replicas: Int? = nil, nodeSelector: [String: String] = [:], tolerations: [Toleration] = [],
        environment: [String: String] = [:], additionalContainers: [Container] = [], volumes: [Volume] = [],
        volumeMounts: [VolumeMount] = [], location: SourceLocation
    ) {
        self.name = name
        self.direction = direction
        self.isEnabled = isEnabled
        self.namespace = namespace
        self.labels = labels
        self.podLabels = podLabels
        self.podAnnotations = podAnnotations
        self.ports = ports
        self.serviceType = serviceType
        self.serviceAnnotations = serviceAnnotations
        self.replicas = replicas
        self.nodeSelector = nodeSelector
        self.tolerations = tolerations
        self.environment = environment
        self.additionalContainers = additionalContainers
        self.volumes = volumes
        self.volumeMounts = volumeMounts
        self.location = location
    }

    /// The classic chart's name for the account.
    package var serviceAccountName: String { "\(name)-service-account" }

    /// The labels of its pods and of its Service's selector: `app` and `istio`, unless others are given.
    package var effectiveLabels: [String: String] {
        guard labels.isEmpty else { return labels }
        return ["app": name, "istio": name.hasPrefix("istio-") ? String(name.dropFirst("istio-".count)) : name]
    }

    /// The ports of its Service: the classic chart's, unless others are given.
    package var effectivePorts: [Port] {
        let web = [
            Port(name: "http2", number: 80, targetPort: 8080), Port(name: "https", number: 443, targetPort: 8443),
        ]
        return ports ?? (direction == .egress ? web : [Port(name: "status-port", number: 15021)] + web)
    }

    /// `over` wins field by field; maps are merged, lists added.
    package func overlaid(by over: GatewayComponent) -> GatewayComponent {
        var result = self
        result.isEnabled = over.isEnabled ?? isEnabled
        result.namespace = over.namespace ?? namespace
        result.labels.merge(over.labels) { _, new in new }
        result.podLabels.merge(over.podLabels) { _, new in new }
        result.podAnnotations.merge(over.podAnnotations) { _, new in new }
        result.ports = over.ports ?? ports
        result.serviceType = over.serviceType ?? serviceType
        result.serviceAnnotations.merge(over.serviceAnnotations) { _, new in new }
        result.replicas = over.replicas ?? replicas
        result.nodeSelector.merge(over.nodeSelector) { _, new in new }
        result.tolerations += over.tolerations
        result.environment.merge(over.environment) { _, new in new }
        result.additionalContainers += over.additionalContainers
        result.volumes += over.volumes
        result.volumeMounts += over.volumeMounts
        result.location = over.location
        return result
    }
}
