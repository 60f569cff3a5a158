import Manifests
import NetworkAddresses

/// The objects that Istio's charts make of the gateways an operator installs.
enum InstalledGateways {
    /// The port on which a gateway's agent shows its metrics; it is a port of the container in the charts.
    private static let metricsPort: UInt16 = 15090
    /// The user and group that gateways run as, like sidecars.
    private static let proxyUser: UInt32 = 1337

    /// The resources with a Deployment, a Service and a service account for each installed gateway. Objects that the
    /// manifests bring themselves under such a name stay as they are.
    static func adding(to resources: ResourceSet) -> ResourceSet {
        var result = resources
        var taken = Set(resources.all.map(\.id))
        for (component, namespace) in installedGateways(of: resources) {
            let objects: [any Resource] = [
                account(of: component, namespace), deployment(of: component, namespace),
                service(of: component, namespace),
            ]
            for object in objects where taken.insert(object.id).inserted { result.apply(object) }
        }
        return result
    }

    private static func account(of component: GatewayComponent, _ namespace: String) -> ServiceAccount {
        ServiceAccount(metadata: metadata(component.serviceAccountName, namespace, component))
    }

    private static func deployment(of component: GatewayComponent, _ namespace: String) -> Workload {
        var labels = component.effectiveLabels
        labels["sidecar.istio.io/inject"] = "false"
        labels["service.istio.io/canonical-name"] = component.name
        labels["service.istio.io/canonical-revision"] = "latest"
        labels.merge(component.podLabels) { _, own in own }
        let template = ObjectMeta(
            name: component.name, namespace: namespace, labels: labels, annotations: annotations(of: component),
            location: component.location)
        return Workload(
            workloadKind: .deployment, metadata: metadata(component.name, namespace, component),
            replicas: component.replicas ?? 1, selector: LabelSelector(matchLabels: component.effectiveLabels),
            template: Pod(metadata: template, spec: podSpec(of: component)))
    }

    private static func annotations(of component: GatewayComponent) -> [String: Located<String>] {
        component.podAnnotations.mapValues { Located($0, at: component.location) }
    }

    private static func podSpec(of component: GatewayComponent) -> PodSpec {
        let ports =
            component.effectivePorts.map { Container.Port(number: $0.targetPort) }
            + [Container.Port(name: "http-envoy-prom", number: metricsPort)]
        let proxy = Container(
            name: Injection.proxyContainer, image: "auto", arguments: ["proxy", "router"], ports: ports,
            environment: component.environment, volumeMounts: component.volumeMounts, location: component.location)
        return PodSpec(
            containers: component.additionalContainers + [proxy],
            serviceAccountName: component.serviceAccountName, runAsUser: proxyUser, runAsGroup: proxyUser,
            nodeSelector: component.nodeSelector, tolerations: component.tolerations, volumes: component.volumes)
    }

    private static func service(of component: GatewayComponent, _ namespace: String) -> Service {
        let usual: Service.ServiceType = component.direction == .egress ? .clusterIP : .loadBalancer
        var service = Service(
            metadata: metadata(component.name, namespace, component),
            type: component.serviceType.flatMap(Service.ServiceType.init) ?? usual,
            selector: component.effectiveLabels,
            ports: component.effectivePorts.map {
                Service.Port(
                    name: $0.name, number: $0.number, targetPort: .number($0.targetPort), location: component.location)
            })
        service.metadata.annotations = component.serviceAnnotations.mapValues { Located($0, at: component.location) }
        return service
    }

    private static func metadata(_ name: String, _ namespace: String, _ component: GatewayComponent) -> ObjectMeta {
        ObjectMeta(
            name: name, namespace: namespace, labels: component.effectiveLabels, location: component.location)
    }
}
