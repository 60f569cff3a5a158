import Manifests
import ProxyModel

/// Carries a traffic policy's `connectionPool` into clusters, and into the TCP filters in front of them.
struct ConnectionPoolPass {
    let context: ProxyContext

    /// The filter of a chain whose bytes go to clusters of `host`: its rule's time limits hold for them, those of
    /// subsets and ports don't, as Istio has it.
    func tcpProxy(_ clusters: [WeightedCluster], statPrefix: String, host: String?) -> TCPProxy {
        let service = host.flatMap(context.scope.service)
        let rule = service.flatMap {
            context.destinationRules.rule(
                for: $0.hostname, serviceNamespace: $0.namespace, client: context.namespace, labels: context.labels)
        }
        let pool = rule?.trafficPolicy?.connectionPool
        return TCPProxy(
            statPrefix: statPrefix, clusters: clusters, idleTimeoutMs: pool?.tcpIdleTimeoutMs,
            maxDownstreamConnectionDurationMs: pool?.maxConnectionDurationMs,
            hashesSourceIP: clusters.first.flatMap { ConsistentHashPass(context: context).hashesSourceIP($0.name) },
            dynamicForwardProxyPort: dynamicForwardProxyPort(clusters, service))
    }

    /// Where the one destination is resolved per connection; gateways have no filter that would.
    private func dynamicForwardProxyPort(_ clusters: [WeightedCluster], _ service: RegistryService?) -> UInt16? {
        guard !context.isRouter, clusters.count == 1, let service, service.resolution == .dynamicDNS else { return nil }
        return clusters[0].name.split(separator: "|", omittingEmptySubsequences: false).dropFirst().first
            .flatMap { UInt16($0) }
    }

    /// What holds for a sidecar's own port: whoever limits the clients of a service limits its pods, too.
    func inbound(_ cluster: inout ProxyModel.Cluster, host: String, port: UInt16) {
        let rule = context.destinationRules.rule(
            for: host, serviceNamespace: context.namespace, client: context.namespace, labels: [:])
        guard let rule, !rule.isSelected,
            let pool = TrafficPolicy.effective(rule: rule.trafficPolicy, port: port)?.connectionPool
        else { return }
        cluster.connectTimeoutMs = pool.connectTimeoutMs ?? cluster.connectTimeoutMs
        Self.apply(pool, to: &cluster)
    }

    static func apply(_ pool: TrafficPolicy.ConnectionPool, to cluster: inout ProxyModel.Cluster) {
        // 0 is no limit, as the absence of one.
        func limit(_ value: Int?) -> Int? { value.flatMap { $0 > 0 ? $0 : nil } }
        let breakers = CircuitBreakers(
            maxConnections: limit(pool.maxConnections), maxPendingRequests: limit(pool.http1MaxPendingRequests),
            maxRequests: limit(pool.http2MaxRequests), maxRetries: limit(pool.maxRetries))
        if breakers != CircuitBreakers() { cluster.circuitBreakers = breakers }
        cluster.maxRequestsPerConnection = limit(pool.maxRequestsPerConnection)
        cluster.idleTimeoutMs = pool.httpIdleTimeoutMs ?? pool.tcpIdleTimeoutMs
        cluster.maxConnectionDurationMs = pool.maxConnectionDurationMs
        if cluster.httpProtocolOptions == .http2 { cluster.maxConcurrentStreams = limit(pool.maxConcurrentStreams) }
        if pool.useClientProtocol == true {
            cluster.httpProtocolOptions = .useDownstreamProtocol
            cluster.maxConcurrentStreams = nil
        }
    }
}

extension ClusterName {
    /// The host of `outbound|443||edition.cnn.com`; nil for clusters of no service.
    static func host(ofOutbound name: String) -> String? {
        let parts = name.split(separator: "|", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "outbound" ? String(parts[3]) : nil
    }
}
