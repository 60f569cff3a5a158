import Manifests
import NetworkAddresses
import ProxyModel

/// Makes the clusters of a sidecar: one for each port and subset of each service, and the built-in ones.
struct ClusterPass {
    let context: ProxyContext

    func outbound() -> [ProxyModel.Cluster] {
        context.scope.clusterServices.flatMap { service -> [ProxyModel.Cluster] in
            let rule = context.destinationRules.rule(
                for: service.hostname, serviceNamespace: service.namespace, client: context.namespace,
                labels: context.labels)
            return service.ports.filter { $0.protocol != .udp }.flatMap { port in
                // What is resolved per request has no endpoints that subsets could be of.
                [cluster(service, port, rule: rule, subset: nil, origin: port.origin)]
                    + (service.resolution == .dynamicDNS ? [] : rule?.subsets ?? []).map { subset, origin in
                        cluster(service, port, rule: rule, subset: subset, origin: origin)
                    }
            }
        }
    }

    /// The clusters that AUTO_PASSTHROUGH servers choose by SNI: as the others, but bytes go on as they come.
    func byServerName() -> [ProxyModel.Cluster] {
        outbound().compactMap { cluster in
            let parts = cluster.name.split(separator: "|", omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 4, let port = UInt16(parts[1]) else { return nil }
            var cluster = cluster
            cluster.name = ClusterName.serverName(port: port, subset: parts[2], host: parts[3])
            cluster.transportSocket = nil
            cluster.transportSocketMatches = nil
            return cluster
        }
    }

    func builtIn() -> [ProxyModel.Cluster] {
        let blackHole = ProxyModel.Cluster(
            name: ClusterName.blackHole, discovery: .staticEndpoints, connectTimeoutMs: context.connectTimeoutMs,
            dnsFamilies: context.families.list)
        let passthrough = ProxyModel.Cluster(
            name: ClusterName.passthrough, discovery: .originalDestination,
            connectTimeoutMs: context.connectTimeoutMs, dnsFamilies: context.families.list,
            httpProtocolOptions: context.isIstio10 ? nil : .useDownstreamProtocol)
        return context.isRouter ? [blackHole] : [blackHole, passthrough]
    }

    private func cluster(
        _ service: RegistryService, _ port: RegistryService.Port, rule: DestinationRuleIndex.Match?,
        subset: DestinationRule.Subset?, origin: Origin
    ) -> ProxyModel.Cluster {
        let policy = TrafficPolicy.effective(
            rule: rule?.trafficPolicy, subset: subset?.trafficPolicy, port: port.number)
        var cluster = ProxyModel.Cluster(
            name: ClusterName.outbound(port: port.number, subset: subset?.name, host: service.hostname),
            discovery: .endpointDiscovery,
            connectTimeoutMs: policy?.connectionPool?.connectTimeoutMs ?? context.connectTimeoutMs,
            dnsFamilies: context.families.list,
            httpProtocolOptions: port.protocol.httpProtocolOptions, origin: origin.description)
        switch service.resolution {
        // The address that the client dialled ended at the gateway: what has no endpoints of its own has none here.
        case .headless where context.isRouter, .passthrough where context.isRouter:
            cluster.discovery = .endpointDiscovery
        case .headless: cluster.discovery = .originalDestination
        case .passthrough:
            cluster.discovery = .originalDestination
            cluster.upstreamPort = port.targetPort
        case .kubernetes, .fixed: cluster.discovery = .endpointDiscovery
        case .dns: cluster.discovery = .strictDNS
        case .dnsRoundRobin: cluster.discovery = .logicalDNS
        case .dynamicDNS: cluster.discovery = .dynamicForwardProxy
        }
        apply(policy, to: &cluster, port: port)
        var encryption = UpstreamTLSPass(
            context: context, service: service, port: port, rule: rule, subset: subset?.name)
        guard cluster.discovery != .originalDestination else {
            encryption.encrypt(&cluster, policy: policy)
            return cluster
        }
        let takesNames = cluster.discovery != .endpointDiscovery
        cluster.endpoints = port.endpoints.filter { endpoint in
            guard endpoint.labels.hasAll(subset?.labels ?? [:]) else { return false }
            guard let address = IPAddress(endpoint.host) else { return takesNames }
            return context.families.contains(address.family)
        }.map {
            ProxyModel.Endpoint(
                host: $0.host, port: $0.port, weight: $0.weight,
                metadata: $0.speaksMutualTLS ? ["tlsMode": "istio"] : nil)
        }
        encryption.encrypt(&cluster, policy: policy)
        return cluster
    }

    private func apply(_ policy: TrafficPolicy?, to cluster: inout ProxyModel.Cluster, port: RegistryService.Port) {
        if cluster.discovery != .dynamicForwardProxy { choose(policy?.loadBalancer?.value, in: &cluster) }
        cluster.outlierDetection = policy?.outlierDetection.map(Self.outlierDetection)
        if let pool = policy?.connectionPool { ConnectionPoolPass.apply(pool, to: &cluster) }
        if isUpgraded(policy?.connectionPool?.h2UpgradePolicy, port) {
            cluster.httpProtocolOptions = .http2
            cluster.maxConcurrentStreams = nil
        }
    }

    private func choose(_ balancer: TrafficPolicy.LoadBalancer?, in cluster: inout ProxyModel.Cluster) {
        switch balancer {
        case .simple(.roundRobin): cluster.loadBalancing = .roundRobin
        case .simple(.random): cluster.loadBalancing = .random
        // Whatever the service's endpoints are, the client's choice counts.
        case .simple(.passthrough): cluster.discovery = .originalDestination
        case .simple(.leastConnection), .simple(.leastRequest), .simple(.unspecified), nil: break
        case .consistentHash(let hash):
            switch hash.algorithm {
            case .ringHash(let size):
                cluster.loadBalancing = .ringHash
                cluster.minimumRingSize = size
            case .maglev(let size):
                cluster.loadBalancing = .maglev
                cluster.maglevTableSize = size
            }
        }
    }

    private static func outlierDetection(_ asked: TrafficPolicy.OutlierDetection) -> OutlierDetection {
        var result = OutlierDetection()
        result.consecutive5xx = asked.consecutive5xxErrors ?? result.consecutive5xx
        result.consecutiveGatewayFailure = asked.consecutiveGatewayErrors ?? result.consecutiveGatewayFailure
        result.splitsLocalOriginErrors = asked.splitExternalLocalOriginErrors ?? false
        // 0 says nothing, as in the API.
        if let failures = asked.consecutiveLocalOriginFailures, failures > 0 {
            result.consecutiveLocalOriginFailure = failures
        }
        result.intervalMs = asked.intervalMs ?? result.intervalMs
        result.baseEjectionTimeMs = asked.baseEjectionTimeMs ?? result.baseEjectionTimeMs
        if let percent = asked.maxEjectionPercent, percent > 0 { result.maxEjectionPercent = percent }
        result.healthyPanicThreshold = asked.minHealthPercent ?? 0
        return result
    }

    /// A rule's word counts for every port, the mesh's for those that are HTTP for sure.
    private func isUpgraded(
        _ asked: TrafficPolicy.ConnectionPool.H2Upgrade?, _ port: RegistryService.Port
    ) -> Bool {
        switch asked {
        case .upgrade: true
        case .doNotUpgrade: false
        case .default, nil: context.mesh.h2UpgradePolicy == .upgrade && port.protocol.isHTTP
        }
    }
}

extension PortProtocol {
    var isHTTP2: Bool { self == .http2 || self == .grpc || self == .grpcWeb }

    /// How a cluster of such a port speaks HTTP; a port without a protocol is spoken to as the client speaks.
    var httpProtocolOptions: ProxyModel.Cluster.HTTPProtocolOptions? {
        if isHTTP2 { return .http2 }
        return self == .unspecified ? .useDownstreamProtocol : nil
    }
}
