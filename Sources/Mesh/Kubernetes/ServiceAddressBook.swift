import Manifests
import NetworkAddresses

/// Gives Services their addresses and node ports, once.
struct ServiceAddressBook: Sendable {
    private var clusterIPs = GivenNumbers<ResourceID>(from: LabNetwork.firstServiceIndex)
    private var balancers = GivenNumbers<ResourceID>(from: 1)
    /// Kubernetes' own range begins there.
    private var nodePorts = GivenNumbers<String>(from: 30_000)

    private static let dnsID = ResourceID(kind: Service.kind, namespace: "kube-system", name: "kube-dns")

    mutating func services(of resources: ResourceSet, pods: [ClusterPod]) -> [ClusterService] {
        var all = resources.resources(Service.self)
        if !all.contains(where: { $0.id == Self.dnsID }) { all.insert(Self.dns, at: 0) }
        let taken = Taken(
            addresses: Set(all.flatMap { $0.clusterIPs + $0.loadBalancerIPs }),
            nodePorts: Set(all.flatMap(\.ports).compactMap(\.nodePort)))
        let endpoints = ServiceEndpoints(resources: resources, pods: pods)
        return all.map { service in
            let found = endpoints.endpoints(of: service)
            return ClusterService(
                service: service,
                hostname: "\(service.metadata.name).\(service.metadata.namespace).svc.\(LabNetwork.clusterDomain)",
                clusterIPs: addresses(of: service, taken.addresses),
                ports: zip(service.ports, found.ports).map { port, endpoints in
                    ClusterService.Port(
                        port: port, endpoints: endpoints, nodePort: nodePort(of: port, service, taken.nodePorts))
                }, pods: found.pods, addresses: found.addresses, hosts: found.hosts,
                loadBalancerIPs: loadBalancerIPs(of: service, taken.addresses))
        }
    }

    /// What manifests give to Services by name, and the lab to nobody else.
    private struct Taken {
        var addresses: Set<IPAddress>
        var nodePorts: Set<UInt16>
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
        let both: [IPAddress]
        if service.id == Self.dnsID {
            both = LabNetwork.serviceAddresses(LabNetwork.dnsServiceIndex)
        } else {
            let index = clusterIPs.index(of: service.id) { index in
                taken.isDisjoint(with: LabNetwork.serviceAddresses(index))
            }
            both = LabNetwork.serviceAddresses(index)
        }
        return service.families.compactMap { family in both.first { $0.family == family } }
    }

    private mutating func loadBalancerIPs(of service: Service, _ taken: Set<IPAddress>) -> [IPAddress] {
        guard service.type == .loadBalancer else { return [] }
        if !service.loadBalancerIPs.isEmpty { return service.loadBalancerIPs }
        let index = balancers.index(of: service.id) { taken.isDisjoint(with: LabNetwork.loadBalancerAddresses($0)) }
        let both = LabNetwork.loadBalancerAddresses(index)
        return service.families.compactMap { family in both.first { $0.family == family } }
    }

    private mutating func nodePort(of port: Service.Port, _ service: Service, _ taken: Set<UInt16>) -> UInt16? {
        guard service.hasNodePorts else { return nil }
        if let given = port.nodePort { return given }
        let key = "\(service.id) \(port.number)/\(port.transport)"
        let index = nodePorts.index(of: key) { !taken.contains(UInt16(clamping: $0)) }
        return UInt16(clamping: index)
    }
}

/// Numbers that are given once and kept.
private struct GivenNumbers<Key: Hashable & Sendable>: Sendable {
    private var given: [Key: Int] = [:]
    private var next: Int

    init(from first: Int) { next = first }

    mutating func index(of key: Key, where isFree: (Int) -> Bool) -> Int {
        if let known = given[key] { return known }
        while !isFree(next) { next += 1 }
        defer { next += 1 }
        given[key] = next
        return next
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
