import Manifests
import NetworkAddresses

/// Gives Services their addresses, once, and finds the pods behind them.
struct ServiceAddressBook: Sendable {
    private var indexes: [ResourceID: Int] = [:]
    private var nextIndex = LabNetwork.firstServiceIndex

    private static let dnsID = ResourceID(kind: Service.kind, namespace: "kube-system", name: "kube-dns")

    mutating func services(of resources: ResourceSet, pods: [ClusterPod]) -> [ClusterService] {
        var all = resources.resources(Service.self)
        if !all.contains(where: { $0.id == Self.dnsID }) { all.insert(Self.dns, at: 0) }
        let taken = Set(all.flatMap(\.clusterIPs))
        let classes = PodClasses(pods)
        return all.map { service in
            let backends = Self.backends(of: service, pods, classes)
            return ClusterService(
                service: service,
                hostname: "\(service.metadata.name).\(service.metadata.namespace).svc.\(LabNetwork.clusterDomain)",
                clusterIPs: addresses(of: service, taken),
                ports: service.ports.map { port in
                    ClusterService.Port(port: port, endpoints: Self.endpoints(of: port, backends))
                }, pods: backends.map(\.id))
        }
    }

    /// The addresses of kube-dns, which stand in pods' `resolv.conf`.
    static func nameservers(of resources: ResourceSet) -> [IPAddress] {
        let given = resources.resource(Service.self, dnsID.namespace, dnsID.name)?.clusterIPs ?? []
        return given.isEmpty ? LabNetwork.serviceAddresses(LabNetwork.dnsServiceIndex) : given
    }

    private static var dns: Service {
        let location = SourceLocation(file: "built-in")
        return Service(
            metadata: ObjectMeta(
                name: dnsID.name, namespace: dnsID.namespace,
                labels: [PodTemplates.dnsLabel.key: PodTemplates.dnsLabel.value], location: location),
            selector: [PodTemplates.dnsLabel.key: PodTemplates.dnsLabel.value],
            ports: [
                Service.Port(name: "dns", number: 53, transport: .udp, location: location),
                Service.Port(name: "dns-tcp", number: 53, transport: .tcp, location: location),
            ])
    }

    private mutating func addresses(of service: Service, _ taken: Set<IPAddress>) -> [IPAddress] {
        if service.isHeadless || service.type == .externalName { return [] }
        if !service.clusterIPs.isEmpty { return service.clusterIPs }
        if service.id == Self.dnsID { return LabNetwork.serviceAddresses(LabNetwork.dnsServiceIndex) }
        let index: Int
        if let known = indexes[service.id] {
            index = known
        } else {
            while !taken.isDisjoint(with: LabNetwork.serviceAddresses(nextIndex)) { nextIndex += 1 }
            index = nextIndex
            indexes[service.id] = index
            nextIndex += 1
        }
        return LabNetwork.serviceAddresses(index)
    }

    private static func backends(
        of service: Service, _ pods: [ClusterPod], _ classes: PodClasses
    ) -> [ClusterPod] {
        guard let selector = service.selector, !selector.isEmpty else { return [] }
        let selected = classes.select(namespace: service.metadata.namespace) { labels in
            selector.allSatisfy { labels[$0.key] == $0.value }
        }
        return selected.flatMap { classes.all[$0].pods }.sorted().map { pods[$0] }
    }

    private static func endpoints(of port: Service.Port, _ pods: [ClusterPod]) -> [IPEndpoint] {
        pods.flatMap { pod -> [IPEndpoint] in
            guard let number = pod.number(of: port.targetPort, transport: port.transport) else { return [] }
            return pod.addresses.map { IPEndpoint($0, number) }
        }
    }
}

extension ClusterPod {
    /// The port that a Service's target port means in this pod; nil where no container has a port of that name.
    func number(of target: Service.TargetPort, transport: IPProtocol) -> UInt16? {
        switch target {
        case .number(let number): number
        case .name(let name):
            (spec.containers + spec.initContainers.filter(\.isNativeSidecar)).lazy.flatMap(\.ports)
                .first { $0.name == name && $0.transport == transport }?.number
        }
    }
}
