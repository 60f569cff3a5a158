import NetworkAddresses
import ProxyModel

/// Renders clusters: Envoy's `config.cluster.v3.Cluster`, with what Istio gives every one of them.
struct ClusterRendering {
    /// As Istio has it: no limit, which is not Envoy's default.
    private static let unlimited = 4_294_967_295

    let nameservers: [IPEndpoint]
    /// By cluster, 0 where none is given; raised to have Envoy replace it.
    let policyGenerations: [String: Int]
    let transportSockets: TransportSocketRendering

    func cluster(_ cluster: Cluster) throws(EnvoyRenderingError) -> JSON {
        let discovery = try discovery(of: cluster)
        let isDNS = discovery == .strictDNS || discovery == .logicalDNS
        let isOriginal = discovery == .originalDestination
        let isDynamic = discovery == .dynamicForwardProxy
        return [
            "name": .string(cluster.name),
            "alt_stat_name": .string(EnvoyStatistics.rawName(cluster.name)),
            "type": isDynamic
                ? nil : .string(isOriginal || isDNS ? discovery.rawValue : Cluster.Discovery.staticEndpoints.rawValue),
            "cluster_type": isDynamic ? try dynamicForwardProxy(cluster) : nil,
            "connect_timeout": .duration(ms: cluster.connectTimeoutMs),
            "lb_policy": isOriginal || isDynamic
                ? "CLUSTER_PROVIDED" : .string((cluster.loadBalancing ?? .leastRequest).rawValue),
            "ring_hash_lb_config": cluster.loadBalancing == .ringHash
                ? ["minimum_ring_size": .number(cluster.minimumRingSize ?? 1024)] : nil,
            "maglev_lb_config": cluster.loadBalancing == .maglev
                ? cluster.maglevTableSize.map { ["table_size": .number($0)] } : nil,
            "outlier_detection": cluster.outlierDetection.map(Self.outlierDetection),
            "common_lb_config": cluster.outlierDetection.map { detection in
                ["healthy_panic_threshold": ["value": .number(detection.healthyPanicThreshold)]]
            },
            "original_dst_lb_config": isOriginal
                ? cluster.upstreamPort.map { ["upstream_port_override": .number(Int($0))] } : nil,
            "load_assignment": isOriginal || isDynamic ? nil : loadAssignment(of: cluster),
            "transport_socket": try cluster.transportSocket.map { context throws(EnvoyRenderingError) in
                try transportSockets.upstream(context, place: "cluster '\(cluster.name)'")
            },
            "transport_socket_matches": try matches(of: cluster),
            "typed_extension_protocol_options": try Self.protocolOptions(of: cluster),
            "upstream_bind_config": Self.bindConfig(cluster.sourceAddresses),
            "dns_lookup_family": isDNS ? try Self.lookupFamily(of: cluster) : nil,
            "dns_refresh_rate": isDNS ? .duration(ms: cluster.dnsRefreshMs) : nil,
            "respect_dns_ttl": isDNS ? true : nil,
            "typed_dns_resolver_config": isDNS ? Self.resolver(nameservers) : nil,
            "circuit_breakers": [
                "thresholds": [
                    [
                        "max_connections": limit(cluster.circuitBreakers?.maxConnections),
                        "max_pending_requests": limit(cluster.circuitBreakers?.maxPendingRequests),
                        "max_requests": limit(cluster.circuitBreakers?.maxRequests),
                        "max_retries": limit(cluster.circuitBreakers?.maxRetries),
                        "track_remaining": true,
                    ]
                ]
            ],
            "metadata": [
                "filter_metadata": [
                    AccessLogRendering.metadataKey: ["policy_generation": .number(policyGenerations[cluster.name] ?? 0)]
                ]
            ],
        ]
    }

    /// Envoy wants one configuration for a cache's clusters and filters.
    private func dynamicForwardProxy(_ cluster: Cluster) throws(EnvoyRenderingError) -> JSON {
        let contexts = [cluster.transportSocket].compactMap(\.self)
        return [
            "name": "envoy.clusters.dynamic_forward_proxy",
            "typed_config": .typed(
                "envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig",
                [
                    "dns_cache_config": try dnsCache(of: cluster),
                    "allow_insecure_cluster_options": contexts.contains { !$0.autoServerName || !$0.autoSANValidation }
                        ? true : nil,
                ]),
        ]
    }

    /// Envoy: `DnsCacheConfig`, for what resolves the names that clients ask for.
    func dnsCache(of cluster: Cluster) throws(EnvoyRenderingError) -> JSON {
        [
            "name": "dynamic_forward_proxy_cache", "dns_lookup_family": try Self.lookupFamily(of: cluster),
            "dns_refresh_rate": .duration(ms: cluster.dnsRefreshMs),
            "typed_dns_resolver_config": Self.resolver(nameservers),
        ]
    }

    private static func outlierDetection(_ detection: OutlierDetection) -> JSON {
        func enforcing(_ count: Int) -> JSON { .number(count > 0 ? 100 : 0) }
        return [
            "consecutive_5xx": .number(detection.consecutive5xx),
            "enforcing_consecutive_5xx": enforcing(detection.consecutive5xx),
            "consecutive_gateway_failure": .number(detection.consecutiveGatewayFailure),
            "enforcing_consecutive_gateway_failure": enforcing(detection.consecutiveGatewayFailure),
            "consecutive_local_origin_failure": .number(detection.consecutiveLocalOriginFailure),
            "enforcing_consecutive_local_origin_failure": enforcing(detection.consecutiveLocalOriginFailure),
            "split_external_local_origin_errors": .bool(detection.splitsLocalOriginErrors),
            "enforcing_success_rate": 0,
            "enforcing_local_origin_success_rate": 0,
            "interval": .duration(ms: detection.intervalMs),
            "base_ejection_time": .duration(ms: detection.baseEjectionTimeMs),
            "max_ejection_percent": .number(detection.maxEjectionPercent),
        ]
    }

    /// A name is asked for twice, a second and two apart: a resolver that stays silent delays the start by no more.
    static func resolver(_ nameservers: [IPEndpoint]) -> JSON? {
        if nameservers.isEmpty { return nil }
        return [
            "name": "envoy.network.dns_resolver.cares",
            "typed_config": .typed(
                "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
                [
                    "resolvers": .array(nameservers.map(JSON.address)),
                    "dns_resolver_options": ["no_default_search_domain": true],
                    "query_timeout_seconds": 1,
                    "query_tries": 2,
                ]),
        ]
    }

    private func limit(_ value: Int?) -> JSON { .number(value ?? Self.unlimited) }

    /// Checks that the endpoints fit the discovery.
    private func discovery(of cluster: Cluster) throws(EnvoyRenderingError) -> Cluster.Discovery {
        func refuse(_ problem: String, _ remedy: String) -> EnvoyRenderingError {
            EnvoyRenderingError(place: "cluster '\(cluster.name)'", problem: problem, remedy: remedy)
        }
        switch cluster.discovery {
        case .originalDestination, .strictDNS, .dynamicForwardProxy: break
        case .logicalDNS:
            // Envoy wants exactly one endpoint; a cluster without any has no hosts in either form.
            if cluster.endpoints.isEmpty { return .staticEndpoints }
            if cluster.endpoints.count > 1 {
                throw refuse(
                    "LOGICAL_DNS has one endpoint, not \(cluster.endpoints.count)",
                    "leave one endpoint, or use resolution DNS")
            }
        case .staticEndpoints, .endpointDiscovery:
            if let name = cluster.endpoints.map(\.host).first(where: { IPAddress($0) == nil }) {
                throw refuse("endpoint '\(name)' is no address", "use resolution DNS for names")
            }
        }
        return cluster.discovery
    }

    private func loadAssignment(of cluster: Cluster) -> JSON {
        let endpoints = cluster.endpoints.map { endpoint -> JSON in
            [
                "endpoint": ["address": ["socket_address": .socketAddress(host: endpoint.host, port: endpoint.port)]],
                "metadata": endpoint.metadata.map { metadata in
                    ["filter_metadata": ["envoy.transport_socket_match": .object(metadata.mapValues(JSON.string))]]
                },
                "load_balancing_weight": .number(max(endpoint.weight, 1)),
            ]
        }
        return [
            "cluster_name": .string(cluster.name),
            "endpoints": endpoints.isEmpty ? nil : [["lb_endpoints": .array(endpoints)]],
        ]
    }

    private func matches(of cluster: Cluster) throws(EnvoyRenderingError) -> JSON? {
        guard let matches = cluster.transportSocketMatches, !matches.isEmpty else { return nil }
        var result: [JSON] = []
        for match in matches {
            var socket = TransportSocketRendering.plaintext
            if let context = match.context {
                socket = try transportSockets.upstream(
                    context, place: "transport socket '\(match.name)' of cluster '\(cluster.name)'")
            }
            result.append([
                "name": .string(match.name), "match": .object(match.match.mapValues(JSON.string)),
                "transport_socket": socket,
            ])
        }
        return .array(result)
    }

    /// Names from the request's Host are an option of the whole cluster.
    private static func protocolOptions(of cluster: Cluster) throws(EnvoyRenderingError) -> JSON? {
        let contexts = ([cluster.transportSocket] + (cluster.transportSocketMatches ?? []).map(\.context))
            .compactMap(\.self)
        let (name, validation) = (contexts.first?.autoServerName ?? false, contexts.first?.autoSANValidation ?? false)
        if contexts.contains(where: { $0.autoServerName != name || $0.autoSANValidation != validation }) {
            throw EnvoyRenderingError(
                place: "cluster '\(cluster.name)'",
                problem: "only some of its TLS contexts take the server's name from the request",
                remedy: "set autoServerName and autoSANValidation alike in all of them")
        }
        let common: [String: JSON] = [
            "max_requests_per_connection": cluster.maxRequestsPerConnection.map { .number($0) },
            "idle_timeout": cluster.idleTimeoutMs.map { .duration(ms: $0) },
            "max_connection_duration": cluster.maxConnectionDurationMs.map { .duration(ms: $0) },
        ].compactMapValues(\.self)
        if !name, !validation, cluster.httpProtocolOptions == nil, common.isEmpty { return nil }
        let isAutomatic = cluster.httpProtocolOptions == .useDownstreamProtocol
        let explicit = (cluster.httpProtocolOptions ?? .http1).rawValue
        let options: JSON =
            cluster.maxConcurrentStreams.map { ["max_concurrent_streams": .number($0)] } ?? .object([:])
        return [
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": .typed(
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                [
                    "explicit_http_config": isAutomatic ? nil : .object([explicit: options]),
                    "use_downstream_protocol_config": isAutomatic
                        ? ["http_protocol_options": [:], "http2_protocol_options": [:]] : nil,
                    "common_http_protocol_options": common.isEmpty ? nil : .object(common),
                    "upstream_http_protocol_options": !name && !validation
                        ? nil : ["auto_sni": .bool(name), "auto_san_validation": .bool(validation)],
                ])
        ]
    }

    private static func bindConfig(_ sources: [IPAddress]) -> JSON? {
        guard let first = sources.first else { return nil }
        let extra = sources.dropFirst().map { source -> JSON in ["address": .socketAddress(IPEndpoint(source, 0))] }
        return [
            "source_address": .socketAddress(IPEndpoint(first, 0)),
            "extra_source_addresses": extra.isEmpty ? nil : .array(extra),
        ]
    }

    private static func lookupFamily(of cluster: Cluster) throws(EnvoyRenderingError) -> JSON {
        switch (cluster.dnsFamilies.contains(.ipv4), cluster.dnsFamilies.contains(.ipv6)) {
        case (true, true): return "ALL"
        case (true, false): return "V4_ONLY"
        case (false, true): return "V6_ONLY"
        case (false, false):
            throw EnvoyRenderingError(
                place: "cluster '\(cluster.name)'", problem: "its names are resolved to no family of addresses",
                remedy: "give dnsFamilies ipv4, ipv6 or both")
        }
    }
}
