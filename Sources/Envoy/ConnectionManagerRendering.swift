import ProxyModel

/// Renders HTTP connection managers, with what Istio gives every one of them.
struct ConnectionManagerRendering {
    /// Where a connection manager finds its routes.
    enum Routes {
        /// In itself, by name.
        case inline([String: JSON])
        /// Each in the file of that name.
        case files(path: @Sendable (String) -> String)
    }

    let routes: Routes
    /// Of the filter that resolves what clients ask for; nil where no cluster is made for it.
    let dnsCache: JSON?

    func filter(_ manager: HTTPConnectionManager, accessLog: JSON?, attemptLog: JSON?) throws(EnvoyRenderingError)
        -> JSON
    {
        let literal: JSON = [
            "codec_type": "AUTO",
            "stat_prefix": .string(EnvoyStatistics.rawName(manager.statPrefix)),
            "server_name": .string(manager.serverName),
            "server_header_transformation": manager.serverHeader == .overwrite ? "OVERWRITE" : "PASS_THROUGH",
            "generate_request_id": .bool(manager.generatesRequestID),
            "preserve_external_request_id": true,
            "use_remote_address": .bool(manager.usesRemoteAddress),
            "http_protocol_options": manager.acceptsHTTP10 ? ["accept_http_10": true] : [:],
            "normalize_path": .bool(manager.pathNormalization != PathNormalizationMode.none),
            "merge_slashes":
                [.mergeSlashes, .decodeAndMergeSlashes].contains(manager.pathNormalization) ? true : nil,
            "path_with_escaped_slashes_action":
                manager.pathNormalization == .decodeAndMergeSlashes ? "UNESCAPE_AND_FORWARD" : "KEEP_UNCHANGED",
            "upgrade_configs": [["upgrade_type": "websocket"]],
            "stream_idle_timeout": "0s",
            "forward_client_cert_details": manager.clientCertificateForwarding.map { .string($0.details.rawValue) },
            "set_current_client_cert_details": manager.clientCertificateForwarding.flatMap(Self.certificateParts),
            "common_http_protocol_options": manager.idleTimeoutMs.map { ["idle_timeout": .duration(ms: $0)] },
            "http_filters": .array(filters(of: manager, attemptLog: attemptLog)),
        ]
        guard case .object(var fields) = literal else { return literal }
        switch routes {
        case .inline(let tables):
            fields["route_config"] = tables[manager.routeConfiguration]
        case .files(let path):
            fields["rds"] = [
                "route_config_name": .string(manager.routeConfiguration),
                "config_source": .file(path(manager.routeConfiguration)),
            ]
        }
        if manager.propagatesDecorator { fields["tracing"] = Self.tracingForDecorators }
        if let accessLog {
            fields["access_log"] = accessLog
            fields["access_log_options"] = ["flush_access_log_on_new_request": true]
        }
        return [
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": .typed(
                "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", .object(fields)),
        ]
    }

    private static func certificateParts(_ forwarding: ClientCertificateForwarding) -> JSON? {
        if forwarding.parts.isEmpty { return nil }
        return .object(
            Dictionary(forwarding.parts.map { ($0.rawValue, true) }, uniquingKeysWith: { first, _ in first }))
    }

    /// Envoy sends decorators on where it traces; this traces no request.
    private static let tracingForDecorators: JSON = [
        "client_sampling": ["value": 0], "random_sampling": ["value": 0], "overall_sampling": ["value": 0],
    ]

    private func filters(of manager: HTTPConnectionManager, attemptLog: JSON?) -> [JSON] {
        var filters: [JSON] = []
        if !manager.requestHeadersToSet.isEmpty {
            let mutations = manager.requestHeadersToSet.map { header -> JSON in
                [
                    "append": [
                        "header": [
                            "key": .string(header.name.lowercased()),
                            "value": .string(AccessLogRendering.literal(header.value)),
                        ],
                        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                    ]
                ]
            }
            filters.append([
                "name": "envoy.filters.http.header_mutation",
                "typed_config": .typed(
                    "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
                    ["mutations": ["request_mutations": .array(mutations)]]),
            ])
        }
        for filter in manager.httpFilters ?? [] { filters.append(RBACRendering.filter(filter)) }
        // As in Istio, each connection manager has the filter, whether or not a route has a fault.
        filters.append(RouteActionRendering.faultFilterWithoutFaults)
        filters.append(RouteActionRendering.corsFilter)
        if manager.hasDynamicForwardProxy == true, let dnsCache {
            filters.append([
                "name": "envoy.filters.http.dynamic_forward_proxy",
                "typed_config": .typed(
                    "envoy.extensions.filters.http.dynamic_forward_proxy.v3.FilterConfig",
                    ["dns_cache_config": dnsCache]),
            ])
        }
        filters.append([
            "name": "envoy.filters.http.router",
            "typed_config": .typed(
                "envoy.extensions.filters.http.router.v3.Router",
                [
                    "upstream_log": attemptLog,
                    "upstream_log_options": attemptLog.map { _ in ["flush_upstream_log_on_upstream_stream": true] },
                ]),
        ])
        return filters
    }
}

extension JSON {
    /// Envoy: `config.core.v3.ConfigSource` of a file that is replaced by renaming.
    static func file(_ path: String) -> JSON {
        [
            "path_config_source": ["path": .string(path)], "resource_api_version": "V3",
            "initial_fetch_timeout": "0s",
        ]
    }
}
