import Manifests

/// What a proxy gets to see: services, and the VirtualServices bound to the mesh, oldest first (outbound.md §9).
struct ProxyScope {
    /// Services with the ports that get listeners and hosts.
    private(set) var services: [RegistryService] = []
    /// Also those that only a VirtualService's destinations bring in: they get clusters.
    private(set) var clusterServices: [RegistryService] = []
    private(set) var virtualServices: [ScopedVirtualService] = []
    private var byHost: [String: Int] = [:]

    /// - Parameter gateways: what VirtualServices must be bound to, as in `ProxyContext`.
    init(
        namespace: String, labels: [String: String], gateways: Set<String> = [GatewayName.mesh], sidecar: Sidecar?,
        registry: ServiceRegistry,
        virtualServices all: [VirtualService]
    ) {
        let visible = registry.services.filter { $0.isVisible(from: namespace, labels: labels) }
        services = Self.merged(Self.selected(visible, by: sidecar, namespace: namespace), client: namespace)
        virtualServices = all.filter {
            ExportTo($0.exportTo, namespace: $0.metadata.namespace).includes(namespace)
                && $0.audience?.includes(namespace: namespace, labels: labels) != false
        }.map(ScopedVirtualService.init).filter { service in
            guard !service.gateways.isDisjoint(with: gateways) else { return false }
            guard let egress = sidecar?.egress, !egress.isEmpty else { return true }
            return egress.contains { listener in
                let hosts = EgressHosts(listener.hosts, namespace: namespace)
                return service.hosts.contains { hosts.intersects($0, namespace: service.rule.metadata.namespace) }
            }
        }

        clusterServices = services
        for (index, service) in services.enumerated() { byHost[service.hostname] = index }
        let wanted = Set(virtualServices.flatMap(\.destinationHosts)).filter { byHost[$0] == nil }
        for service in Self.merged(visible.filter { wanted.contains($0.hostname) }, client: namespace) {
            byHost[service.hostname] = clusterServices.count
            clusterServices.append(service)
        }
    }

    /// The service that a destination names.
    func service(_ host: String) -> RegistryService? { byHost[host].map { clusterServices[$0] } }

    /// The VirtualService that applies to a service's host: the most specific host, then the oldest.
    func virtualService(
        for host: String, where isUsable: (VirtualService) -> Bool
    ) -> ScopedVirtualService? {
        var best: (service: ScopedVirtualService, specificity: Int)?
        for service in virtualServices where isUsable(service.rule) {
            guard let pattern = HostPattern.mostSpecific(of: service.hosts, covering: host) else { continue }
            let specificity = HostPattern.specificity(pattern)
            if specificity > best?.specificity ?? -1 { best = (service, specificity) }
        }
        return best?.service
    }

    private static func selected(
        _ visible: [RegistryService], by sidecar: Sidecar?, namespace: String
    ) -> [RegistryService] {
        guard let egress = sidecar?.egress, !egress.isEmpty else { return visible }
        let claimed = Set(egress.compactMap(\.port))
        let listeners = egress.map { ($0, EgressHosts($0.hosts, namespace: namespace)) }
        return visible.compactMap { service in
            var ports: [RegistryService.Port] = []
            for (listener, hosts) in listeners where hosts.cover(service.hostname, namespace: service.namespace) {
                for var port in service.ports where !ports.contains(where: { $0.number == port.number }) {
                    if let number = listener.port {
                        guard port.number == number else { continue }
                        if let named = listener.portProtocol, named != .unspecified { port.protocol = named }
                        ports.append(port)
                    } else if !claimed.contains(port.number) {
                        ports.append(port)
                    }
                }
            }
            guard !ports.isEmpty else { return nil }
            var result = service
            result.ports = ports
            return result
        }
    }

    /// One service for each host: own namespace, then Kubernetes, then the oldest; ports of several ServiceEntries in
    /// that namespace are put together.
    private static func merged(_ services: [RegistryService], client: String) -> [RegistryService] {
        var order: [String] = []
        var groups: [String: [RegistryService]] = [:]
        for service in services {
            if groups[service.hostname] == nil { order.append(service.hostname) }
            groups[service.hostname, default: []].append(service)
        }
        return order.compactMap { host in
            let group = groups[host] ?? []
            let own = group.filter { $0.namespace == client }
            let candidates = own.isEmpty ? group : own
            guard var winner = candidates.first(where: \.isKubernetes) ?? candidates.first else { return nil }
            for other in group
            where other.namespace == winner.namespace && other.isKubernetes == winner.isKubernetes {
                winner.ports += other.ports.filter { winner.port($0.number) == nil }
                winner.addresses += other.addresses.filter { !winner.addresses.contains($0) }
            }
            return winner
        }
    }
}

/// A VirtualService with its names fully qualified.
struct ScopedVirtualService {
    var rule: VirtualService
    var hosts: [String]
    /// `mesh`, or Gateways as `namespace/name`.
    var gateways: Set<String>

    init(_ rule: VirtualService) {
        self.rule = rule
        let namespace = rule.metadata.namespace
        hosts = rule.hosts.map { HostPattern.qualified($0.value, namespace: namespace) }
        let names = rule.gateways.isEmpty ? [GatewayName.mesh] : rule.gateways.map(\.value)
        gateways = Set(names.map { GatewayName.qualified($0, namespace: namespace) })
    }

    /// True when a match that lists `names` is meant for one of `gateways`.
    func isMeant(_ names: [String], for gateways: Set<String>) -> Bool {
        names.contains { gateways.contains(GatewayName.qualified($0, namespace: rule.metadata.namespace)) }
    }

    func qualified(_ host: String) -> String {
        HostPattern.qualified(host, namespace: rule.metadata.namespace)
    }

    var destinationHosts: [String] {
        let http = rule.http.flatMap { $0.route + $0.mirrors.map(\.destination) }
        return (http + rule.tls.flatMap(\.route) + rule.tcp.flatMap(\.route)).map { qualified($0.host) }
    }
}

/// The `hosts` of one egress listener: `namespace/dnsName`.
struct EgressHosts {
    private var included: [(namespace: String, host: String)] = []
    private var excluded: [(namespace: String, host: String)] = []

    init(_ hosts: [Located<String>], namespace own: String) {
        for text in hosts.map({ $0.value.lowercased() }) {
            let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            let (namespace, host) = parts.count == 2 ? (parts[0], parts[1]) : ("*", text)
            if namespace == "~" { continue }
            if namespace.hasPrefix("~") {
                excluded.append((String(namespace.dropFirst()), host))
            } else {
                included.append((namespace == "." ? own : namespace, host))
            }
        }
    }

    func cover(_ host: String, namespace: String) -> Bool {
        matches(included, namespace) { HostPattern.covers($0, host) }
            && !matches(excluded, namespace) { HostPattern.covers($0, host) }
    }

    func intersects(_ host: String, namespace: String) -> Bool {
        matches(included, namespace) { HostPattern.intersects($0, host) }
            && !matches(excluded, namespace) { HostPattern.covers($0, host) }
    }

    private func matches(
        _ list: [(namespace: String, host: String)], _ namespace: String, _ test: (String) -> Bool
    ) -> Bool {
        list.contains { ($0.namespace == "*" || $0.namespace == namespace) && test($0.host) }
    }
}
