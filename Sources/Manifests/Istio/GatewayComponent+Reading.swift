extension GatewayComponent {
    private static let componentFields: FieldNames = "name namespace enabled label k8s hub tag spec"
    private static let kubernetesFields: FieldNames = """
        affinity env hpaSpec imagePullPolicy nodeSelector overlays podAnnotations podDisruptionBudget podLabels
        podSecurityContext priorityClassName readinessProbe replicaCount resources securityContext service
        serviceAnnotations strategy tolerations topologySpreadConstraints volumeMounts volumes
        """

    /// Reads one element of `components.egressGateways` or `components.ingressGateways`.
    init?(readingComponent field: FieldReader, direction: Direction) {
        guard field.check(Self.componentFields) else { return nil }
        let name = field["name"]?.string ?? "istio-\(direction.rawValue)gateway"
        self.init(
            name: name, direction: direction, isEnabled: field["enabled"]?.laxBoolean,
            namespace: field["namespace"]?.string, labels: field["label"]?.stringMap ?? [:], location: field.location)
        guard let settings = field["k8s"], settings.check(Self.kubernetesFields) else { return }
        readPod(settings)
        if let service = settings["service"], service.isMapping {
            ports = service["ports"]?.list.compactMap(Self.port)
            serviceType = service["type"]?.string
        }
        serviceAnnotations = settings["serviceAnnotations"]?.stringMap ?? [:]
        for element in settings["env"]?.list ?? [] {
            guard element.check("name value valueFrom"), let name = element.required("name")?.string else { continue }
            environment[name] = element["value"]?.text
        }
        volumes = settings["volumes"]?.list.compactMap { Volume(reading: $0) } ?? []
        volumeMounts = settings["volumeMounts"]?.list.compactMap { VolumeMount(reading: $0) } ?? []
    }

    private static let valueFields: FieldNames = """
        additionalContainers autoscaleEnabled autoscaleMax autoscaleMin certificates configVolumes cpu
        customService deploymentLabels enabled env externalIPs externalTrafficPolicy ingressPorts
        injectionTemplate labels loadBalancerIP loadBalancerSourceRanges memory meshExpansionPorts name namespace
        nodeSelector podAnnotations podAntiAffinityLabelSelector podAntiAffinityTermLabelSelector podLabels ports
        replicaCount resources revision rollingMaxSurge rollingMaxUnavailable runAsRoot sds seccompProfile
        secretVolumes securityContext serviceAccount serviceAnnotations tolerations type zvpn
        """

    /// Reads one entry of `values.gateways`, as the charts have it.
    init?(readingValues field: FieldReader, name: String) {
        guard field.check(Self.valueFields) else { return nil }
        self.init(
            name: field["name"]?.string ?? name, direction: name.contains("ingress") ? .ingress : .egress,
            isEnabled: field["enabled"]?.laxBoolean, namespace: field["namespace"]?.string,
            labels: field["labels"]?.stringMap ?? [:], location: field.location)
        readPod(field)
        ports = field["ports"]?.list.compactMap(Self.port)
        serviceType = field["type"]?.string
        serviceAnnotations = field["serviceAnnotations"]?.stringMap ?? [:]
        for entry in field["env"]?.entries ?? [] where !entry.field.node.isNull {
            environment[entry.key] = entry.field.text
        }
        // The containers are Kubernetes' own: their fields are not Istio's.
        additionalContainers = (field["additionalContainers"]?.list ?? []).compactMap {
            Container(reading: $0, isInit: false)
        }
        for element in field["configVolumes"]?.list ?? [] { readVolume(element, of: "configMapName") }
        for element in field["secretVolumes"]?.list ?? [] { readVolume(element, of: "secretName") }
    }

    private mutating func readPod(_ field: FieldReader) {
        podLabels = field["podLabels"]?.stringMap ?? [:]
        podAnnotations = field["podAnnotations"]?.stringMap ?? [:]
        replicas = field["replicaCount"]?.integer(0...10_000)
        nodeSelector = field["nodeSelector"]?.stringMap ?? [:]
        tolerations = field["tolerations"]?.list.compactMap { Toleration(reading: $0) } ?? []
    }

    /// `configVolumes` and `secretVolumes` name their source; the chart makes it optional and mounts it in the proxy.
    private mutating func readVolume(_ field: FieldReader, of source: String) {
        guard field.check(FieldNames(["name", source, "mountPath"])), let name = field.required("name")?.string,
            let object = field.required(source)?.string
        else { return }
        let isConfigMap = source == "configMapName"
        volumes.append(
            Volume(
                name: name,
                source: isConfigMap
                    ? .configMap(name: object, items: [:], isOptional: true)
                    : .secret(name: object, items: [:], isOptional: true),
                location: field.location))
        if let path = field["mountPath"]?.string {
            volumeMounts.append(
                VolumeMount(name: name, mountPath: path, isReadOnly: true, location: field.location))
        }
    }

    private static func port(_ field: FieldReader) -> Port? {
        guard field.check("name port targetPort protocol nodePort appProtocol"),
            let number = field.required("port")?.port
        else { return nil }
        return Port(
            name: field["name"]?.string ?? "", number: number, targetPort: field["targetPort"]?.port)
    }
}

/// The gateways that the operators of a cluster install, with the namespace they are in.
package func installedGateways(of resources: ResourceSet) -> [(component: GatewayComponent, namespace: String)] {
    resources.resources(IstioOperator.self).flatMap(\.installedGateways)
}

extension IstioOperator {
    /// The gateways that it installs, with the namespace they are in.
    var installedGateways: [(component: GatewayComponent, namespace: String)] {
        enabledGateways.map { ($0, $0.namespace ?? meshConfig.rootNamespace ?? "istio-system") }
    }
}
