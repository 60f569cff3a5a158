import Manifests
import NetworkAddresses

/// Every host that the control plane knows, oldest first.
struct ServiceRegistry {
    private(set) var services: [RegistryService] = []
    private(set) var diagnostics: [Diagnostic] = []

    init(cluster: Cluster, resources: ResourceSet) {
        let selection = ProtocolSelection(isSniffing: cluster.compatibility == .current)
        let pods = PodIndex(cluster.pods)
        let ages = ResourceAges(resources)
        var aged: [(age: Int, service: RegistryService)] = []
        var aliases: [String: [KubernetesName]] = [:]

        for service in cluster.services {
            let metadata = service.service.metadata
            if service.service.type == .externalName {
                let target = (service.service.externalName ?? "").lowercased()
                aliases[target, default: []].append(
                    KubernetesName(name: metadata.name, namespace: metadata.namespace))
            } else {
                // What the lab itself adds (kube-dns, the control plane) is older than anything applied.
                let age = ages[service.service.id] ?? -1
                aged.append((age, Self.service(service, selection: selection, pods: pods, in: cluster)))
            }
        }
        for entry in resources.resources(ServiceEntry.self) {
            let age = ages[entry.id] ?? Int.max
            for host in entry.hosts {
                warnOfPartialWildcard(host, in: entry)
                var service = Self.service(entry, host: host.value, selection: selection, pods: pods)
                let allocated = AllocatedHost(entry: entry.id, host: service.hostname)
                service.allocatedAddresses = cluster.allocatedAddresses[allocated] ?? []
                aged.append((age, service))
            }
        }
        services = aged.enumerated()
            .sorted { ($0.element.age, $0.offset) < ($1.element.age, $1.offset) }
            .map { item in
                var service = item.element.service
                service.aliases = aliases[service.hostname] ?? []
                return service
            }
    }

    /// The registry as proxies with DNS capture get to see it: hosts have the addresses that were allocated for them.
    var withAllocatedAddresses: ServiceRegistry {
        var result = self
        for index in services.indices where services[index].addresses.isEmpty {
            result.services[index].addresses = services[index].allocatedAddresses.map { IPPrefix($0) }
        }
        return result
    }

    private mutating func warnOfPartialWildcard(_ host: Located<String>, in entry: ServiceEntry) {
        guard host.value.hasPrefix("*"), host.value != "*", !host.value.hasPrefix("*.") else { return }
        diagnostics.append(
            Diagnostic(
                .warning,
                "ServiceEntry \(entry.metadata.namespace)/\(entry.metadata.name): the wildcard in '\(host.value)' "
                    + "is only part of a label; TLS server names never match it",
                remedy: "write '*.' and a domain", at: host.location))
    }

    private static func service(
        _ cluster: ClusterService, selection: ProtocolSelection, pods: PodIndex, in whole: Cluster
    ) -> RegistryService {
        let service = cluster.service
        let metadata = service.metadata
        let exportTo = metadata.annotations["networking.istio.io/exportTo"]?.value
            .split(separator: ",").map { $0.trimmed }
        return RegistryService(
            hostname: cluster.hostname.lowercased(), name: metadata.name, namespace: metadata.namespace,
            exportTo: exportTo ?? ["*"], addresses: cluster.clusterIPs.map { IPPrefix($0) },
            ports: cluster.ports.map { port in
                RegistryService.Port(
                    number: port.port.number, name: port.port.name, protocol: selection.protocolOf(port.port),
                    targetPort: nil,
                    endpoints: port.endpoints.compactMap { endpoint in
                        let pod = pods.pod(at: endpoint.address)
                        // A sidecar that does not capture IPv6 takes no mutual TLS there: its application would get it.
                        if endpoint.address.family == .ipv6, let pod, pod.hasSidecar, pod.capture?.isIPv6On == false,
                            pod.addresses.contains(where: { $0.family == .ipv4 })
                        {
                            return nil
                        }
                        return RegistryService.Endpoint(
                            host: endpoint.address.description, port: endpoint.port, labels: pod?.labels ?? [:],
                            speaksMutualTLS: pod?.speaksMutualTLS ?? false)
                    },
                    origin: service.origin(at: port.port.location))
            },
            resolution: service.isHeadless || cluster.clusterIPs.isEmpty ? .headless : .kubernetes,
            isKubernetes: true, isExternal: false,
            identities: pods.identities(of: cluster.pods, trustDomain: whole.trustDomain), origin: service.origin())
    }

    private static func service(
        _ entry: ServiceEntry, host: String, selection: ProtocolSelection, pods: PodIndex
    ) -> RegistryService {
        let metadata = entry.metadata
        let resolution: RegistryService.Resolution =
            switch entry.resolution {
            case .none: .passthrough
            case .static: .fixed
            case .dns: .dns
            case .dnsRoundRobin: .dnsRoundRobin
            case .dynamicDNS: .dynamicDNS
            }
        return RegistryService(
            hostname: host.lowercased(), name: metadata.name, namespace: metadata.namespace, exportTo: entry.exportTo,
            addresses: entry.addresses.map(\.value),
            ports: entry.ports.map { port in
                RegistryService.Port(
                    number: port.number, name: port.name, protocol: selection.protocolOf(port),
                    targetPort: port.targetPort.flatMap { $0 == port.number ? nil : $0 },
                    endpoints: endpoints(of: port, in: entry, host: host, pods: pods),
                    origin: entry.origin(at: port.location))
            },
            resolution: resolution, isKubernetes: false, isExternal: entry.meshLocation == .meshExternal,
            subjectAltNames: entry.subjectAltNames, audience: entry.audience, origin: entry.origin())
    }

    /// The endpoint's named port, else `targetPort`, else `number`.
    private static func endpoints(
        of port: ServiceEntry.Port, in entry: ServiceEntry, host: String, pods: PodIndex
    ) -> [RegistryService.Endpoint] {
        let fallback = port.targetPort ?? port.number
        if let selector = entry.workloadSelector {
            return pods.selected(by: selector, namespace: entry.metadata.namespace).flatMap { pod in
                pod.addresses.map {
                    RegistryService.Endpoint(
                        host: $0.description, port: fallback, labels: pod.labels, speaksMutualTLS: pod.speaksMutualTLS)
                }
            }
        }
        if entry.endpoints.isEmpty {
            // Without endpoints the host itself is resolved; a wildcard can't be.
            let resolvesHost = [.dns, .dnsRoundRobin].contains(entry.resolution) && !host.hasPrefix("*")
            return resolvesHost ? [RegistryService.Endpoint(host: host.lowercased(), port: fallback)] : []
        }
        return entry.endpoints.map {
            RegistryService.Endpoint(
                host: $0.address, port: $0.ports[port.name] ?? fallback, weight: max($0.weight, 1), labels: $0.labels,
                speaksMutualTLS: $0.labels[TLSModeLabel.name] == TLSModeLabel.mutual)
        }
    }
}

/// Finds pods by address and by label.
private struct PodIndex {
    private let pods: [ClusterPod]
    private var byAddress: [IPAddress: Int] = [:]

    init(_ pods: [ClusterPod]) {
        self.pods = pods
        for (index, pod) in pods.enumerated() {
            for address in pod.addresses { byAddress[address] = index }
        }
    }

    func pod(at address: IPAddress) -> ClusterPod? { byAddress[address].map { pods[$0] } }

    /// Who may be met behind a service, each once.
    func identities(of members: [PodID], trustDomain: String) -> [String] {
        let members = Set(members)
        let accounts = pods.filter { members.contains($0.id) }.map {
            SPIFFE.identity(
                trustDomain: trustDomain, namespace: $0.id.namespace, serviceAccount: $0.spec.serviceAccountName)
        }
        return Set(accounts).sorted()
    }

    func selected(by labels: [String: String], namespace: String) -> [ClusterPod] {
        pods.filter { $0.id.namespace == namespace && $0.labels.hasAll(labels) }
    }
}

/// The position of every resource when sorted by age.
private struct ResourceAges {
    private var ages: [ResourceID: Int] = [:]

    init(_ resources: ResourceSet) {
        let sorted = resources.all.enumerated().sorted { a, b in
            switch (a.element.metadata.creationTimestamp, b.element.metadata.creationTimestamp) {
            case (let x?, let y?) where x != y: x < y
            default: a.offset < b.offset
            }
        }
        for (age, item) in sorted.enumerated() { ages[item.element.id] = age }
    }

    subscript(id: ResourceID) -> Int? { ages[id] }
}

extension [String: String] {
    /// True when these labels have all of `required`.
    func hasAll(_ required: [String: String]) -> Bool { required.allSatisfy { self[$0.key] == $0.value } }
}

extension Substring {
    fileprivate var trimmed: String {
        String(drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
    }
}
