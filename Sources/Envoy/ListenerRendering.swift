import NetworkAddresses
import ProxyModel

/// Renders listeners and their filter chains: Envoy's `config.listener.v3.Listener`.
struct ListenerRendering {
    let accessLog: AccessLogRendering
    let connectionManagers: ConnectionManagerRendering
    let transportSockets: TransportSocketRendering
    /// What filters and clusters share that resolve what clients ask for; nil without such clusters.
    let dnsCache: JSON?

    func listener(_ listener: Listener) throws(EnvoyRenderingError) -> JSON {
        guard let address = listener.addresses.first else {
            throw EnvoyRenderingError(
                place: "listener '\(listener.name)'", problem: "it has no address", remedy: "give it one")
        }
        var chains: [JSON] = []
        var defaultChain: JSON?
        for (chain, namesake) in listener.numberedChains {
            chains.append(try self.chain(chain, namesake: namesake, of: listener))
        }
        if listener.defaultFilterChain != nil { defaultChain = chains.popLast() }
        if chains.isEmpty, defaultChain == nil { chains = [Self.chainForNothing] }
        let extra = listener.addresses.dropFirst().map { endpoint -> JSON in ["address": .address(endpoint)] }
        return [
            "name": .string(listener.name),
            "address": .address(address),
            "additional_addresses": extra.isEmpty ? nil : .array(extra),
            "traffic_direction": .string(listener.trafficDirection.rawValue.uppercased()),
            "bind_to_port": .bool(listener.bindToPort),
            "use_original_dst": listener.useOriginalDestination ? true : nil,
            "listener_filters": .array(Self.listenerFilters(of: listener)),
            "listener_filters_timeout": .duration(ms: listener.listenerFiltersTimeoutMs),
            "continue_on_listener_filters_timeout": true,
            "filter_chains": .array(chains),
            "default_filter_chain": defaultChain,
            "access_log": accessLog.unmatchedLog(listener: listener),
        ]
    }

    /// What the fence is called, also in statistics.
    static let fenceName = "fence"

    /// A listener that answers each connection at once and logs it: what is in the log before that line was done
    /// before the connection came.
    static func fence(socket: String) -> JSON {
        [
            "name": .string(fenceName),
            "stat_prefix": .string(fenceName),
            "address": .pipe(socket),
            "filter_chains": [
                [
                    "filters": [
                        [
                            "name": "envoy.filters.network.direct_response",
                            "typed_config": .typed(
                                "envoy.extensions.filters.network.direct_response.v3.Config",
                                ["response": ["inline_string": "\n"]]),
                        ]
                    ]
                ]
            ],
            "access_log": AccessLogRendering.fenceLog,
        ]
    }

    // MARK: Listener filters

    private static func listenerFilters(of listener: Listener) -> [JSON] {
        // A bound listener that hands nothing over, such as virtualInbound, chooses by the original destination too;
        // with `use_original_dst` Envoy adds this filter itself.
        let original =
            listener.bindToPort && !listener.useOriginalDestination
            ? [filter("original_dst", "envoy.extensions.filters.listener.original_dst.v3.OriginalDst")] : []
        return original
            + listener.listenerFilters.map { inspector in
                switch inspector {
                case .tlsInspector:
                    filter("tls_inspector", "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector")
                case .httpInspector:
                    filter("http_inspector", "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector")
                }
            }
    }

    private static func filter(_ name: String, _ type: String) -> JSON {
        ["name": .string("envoy.filters.listener.\(name)"), "typed_config": .typed(type)]
    }

    // MARK: Filter chains

    private func chain(
        _ chain: FilterChain, namesake: Int, of listener: Listener
    ) throws(EnvoyRenderingError) -> JSON {
        let place = "chain '\(chain.name)' of listener '\(listener.name)'"
        let filter: JSON
        var before: [JSON] = []
        switch chain.filter {
        case .httpConnectionManager(let manager):
            filter = try connectionManagers.filter(
                manager, accessLog: accessLog.log(.http, of: chain, namesake: namesake, listener: listener),
                attemptLog: accessLog.attemptLog(of: chain, namesake: namesake, listener: listener))
        case .tcpProxy(let proxy):
            before = dynamicForwardProxy(proxy)
            filter = try tcpProxy(
                proxy, accessLog: accessLog.log(.tcp, of: chain, namesake: namesake, listener: listener),
                place: place)
        }
        var socket: JSON?
        if let context = chain.transportSocket { socket = try transportSockets.downstream(context, place: place) }
        return [
            "name": .string(chain.name), "filter_chain_match": Self.match(chain.match),
            "filters": .array((chain.authorization ?? []).map(RBACRendering.networkFilter) + before + [filter]),
            "transport_socket": socket,
            "transport_socket_connect_timeout": socket.map { _ in
                .duration(ms: chain.transportSocketConnectTimeoutMs ?? 15_000)
            },
        ]
    }

    /// Resolves the SNI before the proxy asks for a host.
    private func dynamicForwardProxy(_ proxy: TCPProxy) -> [JSON] {
        guard let port = proxy.dynamicForwardProxyPort, let dnsCache else { return [] }
        return [
            [
                "name": "envoy.filters.network.sni_dynamic_forward_proxy",
                "typed_config": .typed(
                    "envoy.extensions.filters.network.sni_dynamic_forward_proxy.v3.FilterConfig",
                    ["dns_cache_config": dnsCache, "port_value": .number(Int(port))]),
            ]
        ]
    }

    /// Envoy wants a chain; no connection has this protocol.
    private static let chainForNothing: JSON = [
        "name": "nothing",
        "filter_chain_match": ["application_protocols": ["egress-lab-nothing"]],
        "filters": [
            [
                "name": "envoy.filters.network.direct_response",
                "typed_config": .typed("envoy.extensions.filters.network.direct_response.v3.Config"),
            ]
        ],
    ]

    private static func match(_ match: FilterChainMatch) -> JSON? {
        func list<Element>(_ elements: [Element], _ one: (Element) -> JSON) -> JSON? {
            elements.isEmpty ? nil : .array(elements.map(one))
        }
        if match == FilterChainMatch() { return nil }
        return [
            "destination_port": match.destinationPort.map { .number(Int($0)) },
            "prefix_ranges": list(match.prefixRanges, JSON.range),
            "server_names": list(match.serverNames, JSON.string),
            "transport_protocol": match.transportProtocol.map { .string($0.rawValue) },
            "application_protocols": list(match.applicationProtocols, JSON.string),
            "source_prefix_ranges": list(match.sourcePrefixRanges, JSON.range),
        ]
    }

    private func tcpProxy(_ proxy: TCPProxy, accessLog: JSON, place: String) throws(EnvoyRenderingError) -> JSON {
        var fields = try RouteRendering.target(proxy.clusters, place: place)
        fields["stat_prefix"] = .string(proxy.statPrefix)
        if let limit = proxy.idleTimeoutMs { fields["idle_timeout"] = .duration(ms: limit) }
        if let limit = proxy.maxDownstreamConnectionDurationMs {
            fields["max_downstream_connection_duration"] = .duration(ms: limit)
        }
        if proxy.hashesSourceIP == true { fields["hash_policy"] = [["source_ip": [:]]] }
        fields["access_log"] = accessLog
        fields["access_log_options"] = [
            "flush_access_log_on_start": true, "flush_access_log_on_connected": true,
            "access_log_flush_interval": .duration(ms: ProgressReporting.intervalMs),
        ]
        return [
            "name": "envoy.filters.network.tcp_proxy",
            "typed_config": .typed("envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", .object(fields)),
        ]
    }
}

extension Listener {
    /// The chains, the default one last, each with how many before it have its name: rules that lead to one service
    /// give chains of one name.
    var numberedChains: [(chain: FilterChain, namesake: Int)] {
        var seen: [String: Int] = [:]
        return (filterChains + (defaultFilterChain.map { [$0] } ?? [])).map { chain in
            defer { seen[chain.name, default: 0] += 1 }
            return (chain, seen[chain.name] ?? 0)
        }
    }
}
