import Manifests
import NetworkAddresses

/// On which ports the containers of each pod answer: those that anyone names or asks for.
struct PodPorts {
    /// Ports of the proxy and its agent; the application has none of them.
    private static let proxyPorts: ClosedRange<UInt16> = 15000...15090

    private struct Key: Hashable {
        var pod: PodID
        var transport: IPProtocol
    }

    private var ports: [Key: Set<UInt16>] = [:]
    private let cluster: Cluster
    private let owners: [IPAddress: PodID]
    private let services: [String: ClusterService]
    private let servicesByAddress: [IPAddress: ClusterService]
    private let workloads: [PodID: [PodID]]
    private let dnsPods: Set<PodID>
    /// Gateways: their proxies listen themselves.
    private let routers: Set<PodID>
    /// Ports that are left to the programs in containers' places.
    private let programPorts: [PodID: Set<UInt16>]
    /// Pods all of whose containers are programs.
    private let programPods: Set<PodID>

    init(cluster: Cluster, flows: [Flow], images: [ImageStandIn] = []) {
        var (programPorts, programPods): ([PodID: Set<UInt16>], Set<PodID>) = ([:], [])
        for pod in cluster.pods {
            let own = pod.spec.containers.filter { $0.name != Injection.proxyContainer }
            let backed = own.filter { images.standIn(for: $0)?.listens == true }
            guard !backed.isEmpty else { continue }
            programPorts[pod.id] = Set(backed.flatMap { $0.ports.map(\.number) })
            if backed.count == own.count { programPods.insert(pod.id) }
        }
        (self.programPorts, self.programPods) = (programPorts, programPods)
        self.cluster = cluster
        owners = Dictionary(cluster.pods.flatMap { pod in pod.addresses.map { ($0, pod.id) } }) { first, _ in first }
        services = Dictionary(cluster.services.map { ($0.hostname.lowercased(), $0) }) { first, _ in first }
        servicesByAddress = Dictionary(
            cluster.services.flatMap { service in service.clusterIPs.map { ($0, service) } }
        ) { first, _ in first }
        var workloads: [PodID: [PodID]] = [:]
        for pod in cluster.pods {
            workloads[pod.id, default: []].append(pod.id)
            if pod.workload != pod.id.name {
                workloads[PodID(namespace: pod.id.namespace, name: pod.workload), default: []].append(pod.id)
            }
        }
        self.workloads = workloads
        dnsPods = Set(
            cluster.pods.filter { PodTemplates.isDNS(namespace: $0.id.namespace, labels: $0.labels) }.map(\.id))
        routers = Set(cluster.pods.filter(\.isRouter).map(\.id))
        addContainerPorts()
        addServicePorts()
        for flow in flows { add(flow) }
    }

    /// The ports of a pod for a transport protocol, ascending.
    func ports(of pod: PodID, _ transport: IPProtocol) -> [UInt16] {
        ports[Key(pod: pod, transport: transport), default: []].sorted()
    }

    private mutating func add(_ port: UInt16, _ transport: IPProtocol, to pod: PodID) {
        if port == 0 || Self.proxyPorts.contains(port) { return }
        // The DNS server itself listens there.
        if port == LabConstants.dnsPort, dnsPods.contains(pod) { return }
        if routers.contains(pod) || programPods.contains(pod) { return }
        if programPorts[pod]?.contains(port) == true { return }
        ports[Key(pod: pod, transport: transport), default: []].insert(port)
    }

    private mutating func addContainerPorts() {
        for pod in cluster.pods {
            for container in pod.spec.containers + pod.spec.initContainers.filter(\.isNativeSidecar)
            where container.name != Injection.proxyContainer {
                for port in container.ports { add(port.number, port.transport, to: pod.id) }
            }
        }
    }

    private mutating func addServicePorts() {
        for service in cluster.services {
            for port in service.ports { add(endpoints: port.endpoints, port.port.transport) }
        }
    }

    private mutating func add(endpoints: [IPEndpoint], _ transport: IPProtocol) {
        for endpoint in endpoints {
            if let pod = owners[endpoint.address] { add(endpoint.port, transport, to: pod) }
        }
    }

    private mutating func add(_ flow: Flow) {
        let transport: IPProtocol
        switch flow.scheme {
        case .http, .https, .tcp, .tls: transport = .tcp
        case .udp, .dns: transport = .udp
        case .sctp: transport = .sctp
        case .icmp: return
        }
        if let address = flow.address {
            add(flow.port, transport, at: address)
            return
        }
        switch flow.host {
        case .address(let address): add(flow.port, transport, at: address)
        case .workload(let reference):
            let id = PodID(namespace: reference.namespace, name: reference.name)
            for pod in workloads[id] ?? [] { add(flow.port, transport, to: pod) }
        case .name(let name):
            if let service = service(named: name.lowercased(), askedFrom: flow.from) {
                add(flow.port, transport, behind: service)
            }
        }
    }

    private mutating func add(_ port: UInt16, _ transport: IPProtocol, at address: IPAddress) {
        if let pod = owners[address] { add(port, transport, to: pod) }
        if let service = servicesByAddress[address] { add(port, transport, behind: service) }
    }

    /// A headless Service's name stands for the pods' own addresses, whatever its ports are.
    private mutating func add(_ port: UInt16, _ transport: IPProtocol, behind service: ClusterService) {
        guard service.clusterIPs.isEmpty else { return }
        for pod in service.pods { add(port, transport, to: pod) }
    }

    /// The Service that a pod's resolver finds with its search domains.
    private func service(named name: String, askedFrom source: Flow.Source) -> ClusterService? {
        let bare = name.hasSuffix(".") ? String(name.dropLast()) : name
        var candidates = [bare, "\(bare).svc.\(LabNetwork.clusterDomain)", "\(bare).\(LabNetwork.clusterDomain)"]
        if case .workload(let reference) = source {
            candidates.append("\(bare).\(reference.namespace).svc.\(LabNetwork.clusterDomain)")
        }
        for candidate in candidates {
            if let service = services[candidate] { return service }
            // `web-0.web.default.svc.cluster.local`: one pod of a headless Service.
            let rest = candidate.drop { $0 != "." }.dropFirst()
            if let service = services[String(rest)], service.clusterIPs.isEmpty { return service }
        }
        return nil
    }
}
