import ProxyModel

/// Renders route configurations: Envoy's `config.route.v3.RouteConfiguration`.
struct RouteRendering {
    let configuration: RouteConfiguration

    func render() throws(EnvoyRenderingError) -> JSON {
        var hosts: [JSON] = []
        var taken: Set<String> = []
        for host in configuration.virtualHosts {
            // Envoy rejects a domain that occurs twice; the older host, which comes first, keeps it.
            let domains = host.domains.filter { taken.insert($0.lowercased()).inserted }
            if !domains.isEmpty { hosts.append(try virtualHost(host, domains: domains)) }
        }
        return [
            "name": .string(configuration.name), "virtual_hosts": .array(hosts), "validate_clusters": false,
            "ignore_port_in_host_matching": .bool(configuration.ignoresPortInHost),
        ]
    }

    private func virtualHost(_ host: VirtualHost, domains: [String]) throws(EnvoyRenderingError) -> JSON {
        var routes: [JSON] = []
        for route in host.routes { routes.append(try self.route(route, of: host)) }
        return [
            "name": .string(host.name), "domains": .array(domains.map(JSON.string)), "routes": .array(routes),
            "include_request_attempt_count": .bool(host.includesAttemptCount),
        ]
    }

    private func route(_ route: Route, of host: VirtualHost) throws(EnvoyRenderingError) -> JSON {
        let place = "route '\(route.name ?? "-")' of '\(host.name)' in '\(configuration.name)'"
        var result: [String: JSON] = ["match": try RouteMatchRendering(place: place).render(route.match)]
        result["name"] = route.name.map(JSON.string)
        result["decorator"] = route.decorator.map { ["operation": .string($0)] }
        // New routes close no connection, so a moved line of a manifest may show here.
        result["metadata"] = (route.origin ?? host.origin).map {
            ["filter_metadata": [AccessLogRendering.metadataKey: ["origin": .string($0)]]]
        }
        switch route.action {
        case .directResponse(let status, let body):
            guard (200..<600).contains(status) else {
                throw EnvoyRenderingError(
                    place: place, problem: "it answers with status \(status)", remedy: "use one from 200 to 599")
            }
            result["direct_response"] = [
                "status": .number(status), "body": body.isEmpty ? nil : ["inline_string": .string(body)],
            ]
        case .redirect(let redirect): result["redirect"] = try RouteActionRendering.redirect(redirect, place: place)
        case .forward(let action): result["route"] = try forward(action, place: place)
        }
        RouteActionRendering.add(route.headers, to: &result)
        let filters: [String: JSON] = [
            RouteActionRendering.faultFilter: route.fault.map(RouteActionRendering.fault),
            "envoy.filters.http.cors": route.cors.map(RouteActionRendering.cors),
        ].compactMapValues(\.self)
        if !filters.isEmpty { result["typed_per_filter_config"] = .object(filters) }
        return .object(result)
    }

    private func forward(_ action: ForwardAction, place: String) throws(EnvoyRenderingError) -> JSON {
        // Istio's word for "no limit", also for what a gRPC client asks for.
        let unlimited: JSON = ["max_stream_duration": "0s", "grpc_timeout_header_max": "0s"]
        var result = try Self.target(action.clusters, place: place)
        result["timeout"] = .duration(ms: max(action.timeoutMs, 0))
        result["max_stream_duration"] = action.timeoutMs > 0 ? nil : unlimited
        result["retry_policy"] = action.retries.flatMap(Self.retryPolicy)
        result["host_rewrite_literal"] = action.hostRewrite.map(JSON.string)
        RouteActionRendering.add(action.pathRewrite, to: &result)
        if let policies = action.hashPolicies, !policies.isEmpty {
            result["hash_policy"] = .array(policies.map(RouteActionRendering.hashPolicy))
        }
        if let policies = action.requestMirrorPolicies, !policies.isEmpty {
            result["request_mirror_policies"] = .array(policies.map(RouteActionRendering.mirror))
        }
        return .object(result)
    }

    /// `cluster` or `weighted_clusters`, for routes and for TCP alike.
    static func target(_ clusters: [WeightedCluster], place: String) throws(EnvoyRenderingError) -> [String: JSON] {
        if clusters.count == 1, !clusters[0].changesRequests { return ["cluster": .string(clusters[0].name)] }
        // With all weights 0 the first one gets everything.
        let live = clusters.filter { $0.weight > 0 }
        if let only = live.isEmpty ? clusters.first : live.count == 1 ? live[0] : nil, !only.changesRequests {
            return ["cluster": .string(only.name)]
        }
        if live.isEmpty {
            throw EnvoyRenderingError(
                place: place, problem: "it names no cluster to forward to", remedy: "name at least one")
        }
        let weighted = live.map { cluster -> JSON in
            var fields: [String: JSON] = ["name": .string(cluster.name), "weight": .number(cluster.weight)]
            fields["host_rewrite_literal"] = cluster.hostRewrite.map(JSON.string)
            RouteActionRendering.add(cluster.headers, to: &fields)
            return .object(fields)
        }
        return ["weighted_clusters": ["clusters": .array(weighted)]]
    }

    private static func retryPolicy(_ policy: RetryPolicy) -> JSON? {
        if policy.numRetries <= 0 { return nil }
        // Istio takes status codes among the conditions.
        var conditions = policy.retryOn.filter { Int($0) == nil }
        let codes = policy.retriableStatusCodes + policy.retryOn.compactMap { Int($0) }
        if codes != policy.retriableStatusCodes, !conditions.contains("retriable-status-codes") {
            conditions.append("retriable-status-codes")
        }
        return [
            "retry_on": .string(conditions.joined(separator: ",")),
            "num_retries": .number(policy.numRetries),
            "per_try_timeout": policy.perTryTimeoutMs > 0 ? .duration(ms: policy.perTryTimeoutMs) : nil,
            "retriable_status_codes": codes.isEmpty ? nil : .array(codes.map(JSON.number)),
            "retry_back_off": ["base_interval": .duration(ms: max(policy.baseIntervalMs, 1))],
            "retry_host_predicate": policy.avoidsPreviousHosts ?? true ? Self.previousHosts : nil,
            "host_selection_retry_max_attempts": 5,
        ]
    }

    private static let previousHosts: JSON = [
        [
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": .typed("envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"),
        ]
    ]
}

extension WeightedCluster {
    /// Whether the choice of this cluster has a meaning beyond where the request goes.
    fileprivate var changesRequests: Bool { headers != nil || hostRewrite != nil }
}
