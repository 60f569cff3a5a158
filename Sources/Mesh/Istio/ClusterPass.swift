import Manifests
import NetworkAddresses
import ProxyModel

/// Makes the clusters of a sidecar: one for each port and subset of each service, and the built-in ones.
struct ClusterPass {
    let context: SidecarContext

    func outbound() -> [ProxyModel.Cluster] {
        context.scope.clusterServices.flatMap { service -> [ProxyModel.Cluster] in
            let rule = context.destinationRules.rule(
                for: service.hostname, serviceNamespace: service.namespace, client: context.namespace,
                labels: context.labels)
            return service.ports.filter { $0.protocol != .udp }.flatMap { port in
                [cluster(service, port, rule: rule, subset: nil, origin: port.origin)]
                    + (rule?.subsets ?? []).map { subset, origin in
                        cluster(service, port, rule: rule, subset: subset, origin: origin)
                    }
            }
        }
    }

    func builtIn() -> [ProxyModel.Cluster] {
        [
            ProxyModel.Cluster(
                name: ClusterName.blackHole, discovery: .staticEndpoints, connectTimeoutMs: context.connectTimeoutMs,
                dnsFamilies: context.families.list),
            ProxyModel.Cluster(
                name: ClusterName.passthrough, discovery: .originalDestination,
                connectTimeoutMs: context.connectTimeoutMs, dnsFamilies: context.families.list),
        ]
    }

    private func cluster(
        _ service: RegistryService, _ port: RegistryService.Port, rule: DestinationRuleIndex.Match?,
        subset: DestinationRule.Subset?, origin: Origin
    ) -> ProxyModel.Cluster {
        var cluster = ProxyModel.Cluster(
            name: ClusterName.outbound(port: port.number, subset: subset?.name, host: service.hostname),
            discovery: .endpointDiscovery, connectTimeoutMs: rule?.connectTimeoutMs ?? context.connectTimeoutMs,
            dnsFamilies: context.families.list, origin: origin.description)
        switch service.resolution {
        case .headless: cluster.discovery = .originalDestination
        case .passthrough:
            cluster.discovery = .originalDestination
            cluster.upstreamPort = port.targetPort
        case .kubernetes, .fixed: cluster.discovery = .endpointDiscovery
        case .dns: cluster.discovery = .strictDNS
        case .dnsRoundRobin: cluster.discovery = .logicalDNS
        }
        guard cluster.discovery != .originalDestination else { return cluster }
        let takesNames = cluster.discovery != .endpointDiscovery
        cluster.endpoints = port.endpoints.filter { endpoint in
            guard endpoint.labels.hasAll(subset?.labels ?? [:]) else { return false }
            guard let address = IPAddress(endpoint.host) else { return takesNames }
            return context.families.contains(address.family)
        }.map { ProxyModel.Endpoint(host: $0.host, port: $0.port, weight: $0.weight) }
        return cluster
    }
}
