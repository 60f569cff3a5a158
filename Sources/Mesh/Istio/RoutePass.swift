import Manifests
import NetworkAddresses
import ProxyModel

/// Makes the host tables of HTTP ports (outbound.md §3).
struct RoutePass {
    let context: ProxyContext
    private let rules: VirtualServicePass

    init(context: ProxyContext) {
        self.context = context
        rules = VirtualServicePass(context: context)
    }

    /// The table of a wildcard listener: every visible host on that port, then what the policy says of the rest.
    func table(port: UInt16) -> RouteConfiguration {
        var hosts: [VirtualHost] = []
        var taken: Set<String> = []
        func add(_ host: VirtualHost) {
            var host = host
            // Envoy rejects a domain that occurs twice; the older host keeps it.
            host.domains = host.domains.filter { taken.insert($0).inserted }
            if !host.domains.isEmpty { hosts.append(host) }
        }
        for service in context.scope.services {
            guard let declared = service.port(port), declared.protocol.isHTTP || declared.protocol == .unspecified
            else { continue }
            add(virtualHost(service, port: declared, domains: domains(of: service, port: port)))
        }
        if port == 80 { unregisteredHosts().forEach(add) }
        if !context.isIstio10 { add(catchAll()) }
        return RouteConfiguration(name: "\(port)", virtualHosts: hosts, ignoresPortInHost: !context.isIstio10)
    }

    /// The table of a sniffed port that is bound to an address: one service, whatever the Host.
    func table(service: RegistryService, port: RegistryService.Port, name: String) -> RouteConfiguration {
        RouteConfiguration(
            name: name, virtualHosts: [virtualHost(service, port: port, domains: ["*"])], ignoresPortInHost: true)
    }

    private func virtualHost(
        _ service: RegistryService, port: RegistryService.Port, domains: [String]
    ) -> VirtualHost {
        let rule = context.scope.virtualService(for: service.hostname) { !$0.http.isEmpty }
        let routes = rule.flatMap { rules.routes(of: $0, port: port.number) }
        return VirtualHost(
            name: "\(service.hostname):\(port.number)", domains: domains,
            routes: routes ?? [rules.defaultRoute(to: service, port: port)],
            includesAttemptCount: context.includesAttemptCount, origin: port.origin.description)
    }

    /// VirtualService hosts that no service has: Istio gives them port 80 only.
    private func unregisteredHosts() -> [VirtualHost] {
        var claimed: Set<String> = []
        return context.scope.virtualServices.flatMap { rule in
            rule.hosts.compactMap { host -> VirtualHost? in
                let isRegistered = context.scope.services.contains { HostPattern.covers(host, $0.hostname) }
                guard !isRegistered, !rule.rule.http.isEmpty, claimed.insert(host).inserted,
                    let routes = rules.routes(of: rule, port: 80)
                else { return nil }
                return VirtualHost(
                    name: "\(host):80", domains: withPorts([host], port: 80), routes: routes,
                    includesAttemptCount: context.includesAttemptCount, origin: rule.rule.origin().description)
            }
        }
    }

    private func catchAll() -> VirtualHost {
        let isOpen = context.policy.mode == .allowAny
        let name = isOpen ? "allow_any" : "block_all"
        let action: RouteAction =
            isOpen
            ? .forward(ForwardAction(clusters: [WeightedCluster(name: ClusterName.passthrough)]))
            : .directResponse(status: 502, body: "")
        let route = Route(
            name: name, match: RouteMatch(path: .prefix("/")), action: action, origin: context.policy.origin)
        return VirtualHost(
            name: name, domains: ["*"], routes: [route], includesAttemptCount: context.includesAttemptCount,
            origin: context.policy.origin)
    }

    private func domains(of service: RegistryService, port: UInt16) -> [String] {
        let host = service.hostname
        let addresses = service.addresses.filter(\.isHost).map(\.address).map {
            $0.family == .ipv4 ? $0.description : "[\($0)]"
        }
        if host.hasPrefix("*") { return withPorts([host] + addresses, port: port) }
        var names = context.isIstio10 ? [host] : [host, "\(host)."]
        if service.isKubernetes {
            names += shortNames(KubernetesName(name: service.name, namespace: service.namespace))
            if service.resolution == .headless { names += names.map { "*.\($0)" } }
        }
        for alias in service.aliases {
            names += ["\(alias.name).\(alias.namespace).svc.cluster.local"] + shortNames(alias)
        }
        return withPorts(names + addresses, port: port)
    }

    private func shortNames(_ service: KubernetesName) -> [String] {
        let (name, namespace) = (service.name, service.namespace)
        return (namespace == context.namespace ? [name] : []) + ["\(name).\(namespace).svc", "\(name).\(namespace)"]
    }

    /// Istio 1.0 listed every domain with and without the port instead of ignoring it.
    private func withPorts(_ domains: [String], port: UInt16) -> [String] {
        context.isIstio10 ? domains.flatMap { [$0, "\($0):\(port)"] } : domains
    }
}
