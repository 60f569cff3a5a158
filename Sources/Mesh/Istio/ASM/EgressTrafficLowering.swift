import Manifests
import NetworkAddresses

/// Turns ASMEgressTrafficPolicies into what they stand for: ServiceEntries and routes that only their clients and their
/// gateway see, servers of the gateway, and mutual TLS between the two (gateway.md §7).
struct EgressTrafficLowering {
    /// What is made for one host of one destination.
    fileprivate struct Leg {
        let policy: ASMEgressTrafficPolicy
        let rule: Int
        let index: Int
        let destination: ASMEgressTrafficPolicy.Destination
        let host: String

        var origin: String { "egressRules[\(rule)].to[\(index)]" }
        var isHTTP: Bool { destination.port.protocol.isHTTP }
        var gatewayPort: UInt16 { destination.gatewayPort.value }
        /// Names the way to the gateway on which the mesh's TLS says `host`.
        var subset: String {
            "\(host.map { $0.isLetter || $0.isNumber ? String($0) : "-" }.joined())-\(gatewayPort)"
        }
    }

    private static let gatewayNamespace = "istio-system"
    private static let gatewayLabel = "istio"
    private static let upgradeSubset = "https-upgrade"

    private let resources: ResourceSet
    /// With what installed gateways consist of.
    private let installed: ResourceSet
    private let internet: [InternetHost]
    private let diagnostics = DiagnosticCollector()

    init(resources: ResourceSet, internet: [InternetHost]) {
        self.resources = resources
        installed = InstalledGateways.adding(to: resources)
        self.internet = internet
    }

    /// The resources with those that the policies stand for, and what is wrong with the policies.
    func lowered() -> (ResourceSet, [Diagnostic]) {
        let policies = resources.resources(ASMEgressTrafficPolicy.self).filter {
            $0.metadata.namespace == ASMEgressTrafficPolicy.namespace
        }
        guard !policies.isEmpty else { return (resources, []) }
        var result = resources
        var order: [String] = []
        var legs: [String: [Leg]] = [:]
        for policy in policies {
            let gateway = policy.gateway.value
            guard let service = service(of: policy) else { continue }
            if legs[gateway] == nil { order.append(gateway) }
            let own = self.legs(of: policy, behind: service)
            legs[gateway, default: []] += own
            for (index, rule) in policy.egressRules.enumerated() {
                clientResources(policy, rule, own.filter { $0.rule == index }, service).forEach { result.apply($0) }
            }
        }
        for gateway in order { gatewayResources(gateway, legs[gateway] ?? []).forEach { result.apply($0) } }
        return (result, diagnostics.all)
    }

    // MARK: Checks

    /// The Service in front of the policy's gateway; nil, and said, where there is no gateway.
    private func service(of policy: ASMEgressTrafficPolicy) -> Service? {
        let name = policy.gateway.value
        let labelled = installed.resources(Workload.self).compactMap { workload -> (name: String, Workload)? in
            guard workload.metadata.namespace == Self.gatewayNamespace else { return nil }
            return workload.template.metadata.labels[Self.gatewayLabel].map { ($0, workload) }
        }
        guard let found = labelled.first(where: { $0.name == name }) else {
            let known = labelled.map(\.name).filter { $0.contains("egress") || $0.contains("gateway") }
            diagnostics.add(
                Diagnostic(
                    .error,
                    "\(policy.id): there is no gateway \(name): no workload in \(Self.gatewayNamespace) has the label "
                        + "\(Self.gatewayLabel): \(name)",
                    remedy: known.isEmpty
                        ? "deploy the egress gateway" : "name \(Array(Set(known)).sorted().joined(separator: " or "))",
                    at: policy.gateway.location))
            return nil
        }
        let labels = found.1.template.metadata.labels
        let service = installed.resources(Service.self).first { service in
            guard let selector = service.selector, !selector.isEmpty else { return false }
            return service.metadata.namespace == Self.gatewayNamespace && labels.hasAll(selector)
        }
        if service == nil {
            diagnostics.add(
                Diagnostic(
                    .error, "\(policy.id): gateway \(name) has no Service, so that no client finds it",
                    remedy: "apply a Service that selects \(Self.gatewayLabel): \(name)", at: policy.gateway.location))
        }
        return service
    }

    private func legs(of policy: ASMEgressTrafficPolicy, behind service: Service) -> [Leg] {
        policy.egressRules.enumerated().flatMap { rule, content in
            content.to.enumerated().flatMap { index, destination -> [Leg] in
                checkPort(of: destination, policy, service)
                checkHosts(of: destination, policy)
                return destination.hosts.map {
                    Leg(policy: policy, rule: rule, index: index, destination: destination, host: $0.value)
                }
            }
        }
    }

    private func checkPort(
        of destination: ASMEgressTrafficPolicy.Destination, _ policy: ASMEgressTrafficPolicy, _ service: Service
    ) {
        let numbers = service.ports.map(\.number)
        guard !numbers.contains(destination.gatewayPort.value) else { return }
        diagnostics.add(
            Diagnostic(
                .error,
                "\(policy.id): gateway \(policy.gateway.value) has no port \(destination.gatewayPort.value)",
                remedy: "use one of \(numbers.map(String.init).joined(separator: ", "))",
                at: destination.gatewayPort.location))
    }

    /// All names of a destination lead to the upstream of its first.
    private func checkHosts(of destination: ASMEgressTrafficPolicy.Destination, _ policy: ASMEgressTrafficPolicy) {
        guard let first = destination.hosts.first, let expected = addresses(of: first.value) else { return }
        for host in destination.hosts.dropFirst() {
            guard let found = addresses(of: host.value), found != expected else { continue }
            diagnostics.add(
                Diagnostic(
                    .error,
                    "\(policy.id): \(host.value) and \(first.value) resolve to different addresses, but one upstream "
                        + "serves all hosts of a destination",
                    remedy: "give \(host.value) a destination of its own", at: host.location))
        }
    }

    /// nil where the scenario says nothing of the name.
    private func addresses(of name: String) -> Set<IPAddress>? {
        let exact = internet.first { $0.hosts.contains { $0.lowercased() == name } }
        let host = exact ?? internet.first { $0.hosts.contains { HostPattern.covers($0.lowercased(), name) } }
        return host.map { Set($0.addresses) }
    }

    // MARK: For clients

    private func clientResources(
        _ policy: ASMEgressTrafficPolicy, _ rule: ASMEgressTrafficPolicy.Rule, _ legs: [Leg], _ gateway: Service
    ) -> [any Resource] {
        let audience = WorkloadAudience(
            rule.from.map { WorkloadAudience.Member(namespace: $0.namespace, labels: $0.workloadSelector ?? [:]) })
        let gatewayHost = "\(gateway.metadata.name).\(gateway.metadata.namespace).svc.cluster.local"
        var result: [any Resource] = []
        var hosts: [String] = []
        for leg in legs {
            if !hosts.contains(leg.host) { hosts.append(leg.host) }
            var entry = entry(for: leg, ports: [port(of: leg)], part: "client")
            entry.audience = audience
            result.append(entry)
            result.append(way(for: leg, to: gatewayHost))
        }
        for host in hosts {
            let own = legs.filter { $0.host == host }
            guard let first = own.first else { continue }
            var routes = VirtualService(
                metadata: metadata(of: first, part: "client-\(host)"),
                hosts: [Located(host, at: first.destination.location)])
            for leg in own {
                let destination = VirtualService.Destination(
                    host: gatewayHost, subset: leg.subset, port: leg.gatewayPort, location: leg.destination.location)
                if leg.isHTTP {
                    var match = VirtualService.HTTPMatch()
                    match.port = leg.destination.port.number
                    routes.http.append(
                        VirtualService.HTTPRoute(
                            match: [match], route: [destination], location: leg.destination.location))
                } else {
                    var match = VirtualService.TLSMatch(sniHosts: [host])
                    match.port = leg.destination.port.number
                    routes.tls.append(
                        VirtualService.TLSRoute(
                            match: [match], route: [destination], location: leg.destination.location))
                }
            }
            routes.audience = audience
            result.append(routes)
        }
        return result
    }

    /// Mutual TLS to the gateway, which tells it the host.
    private func way(for leg: Leg, to gatewayHost: String) -> DestinationRule {
        let place = leg.destination.location
        let policy = TrafficPolicy(
            portLevelSettings: [
                PortTrafficPolicy(
                    port: leg.gatewayPort,
                    policy: TrafficPolicy(
                        tls: ClientTLSSettings(mode: Located(.istioMutual, at: place), sni: leg.host, location: place),
                        location: place))
            ], location: place)
        return DestinationRule(
            metadata: metadata(of: leg, part: "way-\(leg.host)", namespace: Self.gatewayNamespace),
            host: Located(gatewayHost, at: place),
            subsets: [DestinationRule.Subset(name: leg.subset, trafficPolicy: policy, location: place)])
    }

    // MARK: For the gateway

    /// The policies of one gateway share its listeners: what one of them has set up stands.
    private func gatewayResources(_ name: String, _ legs: [Leg]) -> [any Resource] {
        var result: [any Resource] = []
        var servers: [Leg] = []
        for leg in legs {
            if let older = servers.first(where: { $0.host == leg.host && $0.gatewayPort == leg.gatewayPort }) {
                if !leg.agrees(with: older) { tell(leg, conflictsWith: older) }
                continue
            }
            servers.append(leg)
        }
        guard let first = servers.first else { return [] }
        let audience = WorkloadAudience([.init(namespace: Self.gatewayNamespace, labels: [Self.gatewayLabel: name])])
        var gatewayMetadata = metadata(of: first, part: "gateway")
        gatewayMetadata.name = "asm-\(name)"
        let gateway = Gateway(
            metadata: gatewayMetadata, selector: [Self.gatewayLabel: name], servers: servers.map(server))
        result.append(gateway)
        for leg in servers {
            result += upstream(of: leg, gateway: gatewayMetadata.name, audience)
        }
        return result
    }

    private func tell(_ leg: Leg, conflictsWith older: Leg) {
        diagnostics.add(
            Diagnostic(
                .error,
                "\(leg.policy.id): destination \(leg.destination.name) asks for another treatment of \(leg.host) on port "
                    + "\(leg.gatewayPort) of the gateway than \(older.destination.name) of \(older.policy.id)",
                remedy: "give it another port of the gateway", at: leg.destination.gatewayPort.location))
    }

    private func server(_ leg: Leg) -> Gateway.Server {
        let place = leg.destination.location
        return Gateway.Server(
            port: Gateway.Port(
                number: leg.gatewayPort, name: "\(leg.isHTTP ? "https" : "tls")-\(leg.subset)",
                protocol: leg.isHTTP ? .https : .tls, location: place),
            hosts: [Gateway.Host(name: leg.host, location: place)],
            tls: ServerTLSSettings(mode: Located(.istioMutual, at: place), location: place), location: place)
    }

    private func upstream(of leg: Leg, gateway: String, _ audience: WorkloadAudience) -> [any Resource] {
        let place = leg.destination.location
        var ports = [port(of: leg)]
        var result: [any Resource] = []
        if let number = leg.destination.upgradePort {
            ports.append(ServiceEntry.Port(number: number, name: "upgrade", protocol: .https, location: place))
            result.append(origination(for: leg, port: number))
        }
        var entry = entry(for: leg, ports: ports, part: "gateway-\(leg.host)-\(leg.gatewayPort)")
        entry.hosts = [Located(leg.host, at: place)]
        entry.audience = audience
        result.append(entry)

        let destination = VirtualService.Destination(
            host: leg.host, subset: leg.destination.upgradePort.map { _ in Self.upgradeSubset },
            port: leg.destination.upgradePort ?? leg.destination.port.number, location: place)
        var routes = VirtualService(
            metadata: metadata(of: leg, part: "gateway-\(leg.host)-\(leg.gatewayPort)"),
            hosts: [Located(leg.host, at: place)],
            gateways: [Located("\(ASMEgressTrafficPolicy.namespace)/\(gateway)", at: place)])
        if leg.isHTTP {
            var match = VirtualService.HTTPMatch()
            match.port = leg.gatewayPort
            routes.http = [VirtualService.HTTPRoute(match: [match], route: [destination], location: place)]
        } else {
            var match = VirtualService.TCPMatch()
            match.port = leg.gatewayPort
            routes.tcp = [VirtualService.TCPRoute(match: [match], route: [destination], location: place)]
        }
        routes.audience = audience
        result.append(routes)
        return result
    }

    /// TLS of the gateway's own, under the host's name; a subset, because clients' own TLS may go to the same port.
    private func origination(for leg: Leg, port: UInt16) -> DestinationRule {
        let place = leg.destination.location
        let tls = ClientTLSSettings(mode: Located(.simple, at: place), sni: leg.host, location: place)
        return DestinationRule(
            metadata: metadata(of: leg, part: "upgrade-\(leg.host)"), host: Located(leg.host, at: place),
            subsets: [
                DestinationRule.Subset(
                    name: Self.upgradeSubset,
                    trafficPolicy: TrafficPolicy(
                        portLevelSettings: [
                            PortTrafficPolicy(port: port, policy: TrafficPolicy(tls: tls, location: place))
                        ], location: place), location: place)
            ])
    }

    // MARK: Parts

    private func entry(for leg: Leg, ports: [ServiceEntry.Port], part: String) -> ServiceEntry {
        let upstream = leg.destination.hosts.first?.value ?? leg.host
        return ServiceEntry(
            metadata: metadata(of: leg, part: "\(part)-\(leg.host)"),
            hosts: [Located(leg.host, at: leg.destination.location)], ports: ports, resolution: .dns,
            endpoints: [ServiceEntry.Endpoint(address: upstream, location: leg.destination.location)])
    }

    private func port(of leg: Leg) -> ServiceEntry.Port {
        let port = leg.destination.port
        return ServiceEntry.Port(
            number: port.number, name: port.name, protocol: port.protocol, location: port.location)
    }

    /// Objects of the policy's own, whose causes are the policy's lines.
    private func metadata(of leg: Leg, part: String, namespace: String? = nil) -> ObjectMeta {
        var metadata = ObjectMeta(
            name: "\(leg.policy.metadata.name)-\(leg.rule)-\(leg.index)-\(part)",
            namespace: namespace ?? ASMEgressTrafficPolicy.namespace,
            creationTimestamp: leg.policy.metadata.creationTimestamp, location: leg.destination.location)
        metadata.madeFrom = Origin(
            kind: ASMEgressTrafficPolicy.kind, namespace: leg.policy.metadata.namespace,
            name: leg.policy.metadata.name, field: leg.origin, location: leg.destination.location)
        return metadata
    }

}

extension EgressTrafficLowering.Leg {
    /// True when the gateway treats both alike.
    fileprivate func agrees(with other: Self) -> Bool {
        isHTTP == other.isHTTP && destination.port.number == other.destination.port.number
            && destination.upgradePort == other.destination.upgradePort
            && destination.hosts.first?.value == other.destination.hosts.first?.value
    }
}
