package import NetworkAddresses

/// Envoy: `config.listener.v3.Listener`.
package struct Listener: Codable, Equatable, Sendable {
    package enum TrafficDirection: String, Codable, Sendable { case inbound, outbound }

    package enum ListenerFilter: String, Codable, Sendable {
        /// Reads the ClientHello: server name and transport protocol `tls`.
        case tlsInspector = "tls_inspector"
        /// Recognises HTTP in plain bytes: application protocols `http/1.0`, `http/1.1` and `h2c`.
        case httpInspector = "http_inspector"
    }

    /// `virtualOutbound`, `virtualInbound`, `0.0.0.0_80`, `10.96.0.10_53`.
    package var name: String
    package var addresses: [IPEndpoint]
    package var trafficDirection: TrafficDirection
    /// False for listeners that only get connections handed over by one with `useOriginalDestination`.
    package var bindToPort: Bool
    /// Hand a connection to the listener whose address is its original destination: exact IP before wildcard; keep it
    /// when there is none.
    package var useOriginalDestination: Bool
    package var listenerFilters: [ListenerFilter]
    /// Listener filters wait for bytes at most this long, then go on without (0 = for ever), as Envoy's
    /// `listener_filters_timeout` with `continue_on_listener_filters_timeout`.
    package var listenerFiltersTimeoutMs: Int
    package var filterChains: [FilterChain]
    /// Taken when no chain matches; without it the connection is closed (NR, `filter_chain_not_found`).
    package var defaultFilterChain: FilterChain?
    package var origin: ConfigurationOrigin?

    package init(
        name: String, addresses: [IPEndpoint], trafficDirection: TrafficDirection, bindToPort: Bool = false,
        useOriginalDestination: Bool = false, listenerFilters: [ListenerFilter] = [], listenerFiltersTimeoutMs: Int = 0,
        filterChains: [FilterChain] = [], defaultFilterChain: FilterChain? = nil, origin: ConfigurationOrigin? = nil
    ) {
        self.name = name
        self.addresses = addresses
        self.trafficDirection = trafficDirection
        self.bindToPort = bindToPort
        self.useOriginalDestination = useOriginalDestination
        self.listenerFilters = listenerFilters
        self.listenerFiltersTimeoutMs = listenerFiltersTimeoutMs
        self.filterChains = filterChains
        self.defaultFilterChain = defaultFilterChain
        self.origin = origin
    }
}

/// Envoy: `FilterChainMatch`. Empty lists match everything; criteria are tried in Envoy's order, without backtracking.
package struct FilterChainMatch: Codable, Equatable, Sendable {
    package enum TransportProtocol: String, Codable, Sendable {
        case tls
        case rawBuffer = "raw_buffer"
    }

    package var destinationPort: UInt16?
    package var prefixRanges: [IPPrefix]
    /// Exact names and `*.suffix`, lower case.
    package var serverNames: [String]
    package var transportProtocol: TransportProtocol?
    package var applicationProtocols: [String]
    package var sourcePrefixRanges: [IPPrefix]

    package init(
        destinationPort: UInt16? = nil, prefixRanges: [IPPrefix] = [], serverNames: [String] = [],
        transportProtocol: TransportProtocol? = nil, applicationProtocols: [String] = [],
        sourcePrefixRanges: [IPPrefix] = []
    ) {
        self.destinationPort = destinationPort
        self.prefixRanges = prefixRanges
        self.serverNames = serverNames
        self.transportProtocol = transportProtocol
        self.applicationProtocols = applicationProtocols
        self.sourcePrefixRanges = sourcePrefixRanges
    }
}

/// Envoy: `FilterChain`, with the one terminal network filter that Istio's chains end in.
package struct FilterChain: Codable, Equatable, Sendable {
    package var name: String
    package var match: FilterChainMatch
    /// Who may connect, before a `tcpProxy`; nil: everybody.
    package var authorization: [RBAC]?
    package var filter: NetworkFilter
    /// False for the chain that black-holes connections to the capture port itself.
    package var isLogged: Bool
    /// nil: the filter gets the bytes as they come.
    package var transportSocket: DownstreamTLSContext?
    /// How long a client may take for its handshake (Envoy: `transport_socket_connect_timeout`). 0: for ever; nil: 15 s,
    /// as Istio gives clients of its gateways.
    package var transportSocketConnectTimeoutMs: Int?
    package var origin: ConfigurationOrigin?

    package init(
        name: String, match: FilterChainMatch = FilterChainMatch(), filter: NetworkFilter, isLogged: Bool = true,
        transportSocket: DownstreamTLSContext? = nil, transportSocketConnectTimeoutMs: Int? = nil,
        authorization: [RBAC]? = nil, origin: ConfigurationOrigin? = nil
    ) {
        self.name = name
        self.match = match
        self.authorization = authorization
        self.filter = filter
        self.isLogged = isLogged
        self.transportSocket = transportSocket
        self.transportSocketConnectTimeoutMs = transportSocketConnectTimeoutMs
        self.origin = origin
    }
}

package enum NetworkFilter: Codable, Equatable, Sendable {
    case httpConnectionManager(HTTPConnectionManager)
    case tcpProxy(TCPProxy)

    package init(from decoder: any Decoder) throws {
        let decoded = try DecodedCase(from: decoder)
        switch decoded.name {
        case "httpConnectionManager": self = .httpConnectionManager(try decoded.value())
        case "tcpProxy": self = .tcpProxy(try decoded.value())
        default: throw decoded.unknown
        }
    }

    package func encode(to encoder: any Encoder) throws {
        switch self {
        case .httpConnectionManager(let manager): try encoder.encodeCase("httpConnectionManager", manager)
        case .tcpProxy(let proxy): try encoder.encodeCase("tcpProxy", proxy)
        }
    }
}

/// Envoy: `extensions.filters.network.tcp_proxy.v3.TcpProxy`.
package struct TCPProxy: Codable, Equatable, Sendable {
    package var statPrefix: String
    package var clusters: [WeightedCluster]
    /// How long neither end may send anything. 0: for ever; nil: an hour, as Envoy has it.
    package var idleTimeoutMs: Int?
    /// nil: a connection lasts as long as its ends like.
    package var maxDownstreamConnectionDurationMs: Int?
    /// Envoy's `hash_policy` with `source_ip`, for clusters that choose hosts by a hash; nil is no.
    package var hashesSourceIP: Bool?
    /// Envoy's filter `sni_dynamic_forward_proxy` in front: the SNI is resolved, and this port of it dialled.
    package var dynamicForwardProxyPort: UInt16?

    package init(
        statPrefix: String, clusters: [WeightedCluster], idleTimeoutMs: Int? = nil,
        maxDownstreamConnectionDurationMs: Int? = nil, hashesSourceIP: Bool? = nil,
        dynamicForwardProxyPort: UInt16? = nil
    ) {
        self.statPrefix = statPrefix
        self.clusters = clusters
        self.idleTimeoutMs = idleTimeoutMs
        self.maxDownstreamConnectionDurationMs = maxDownstreamConnectionDurationMs
        self.hashesSourceIP = hashesSourceIP
        self.dynamicForwardProxyPort = dynamicForwardProxyPort
    }

    package init(cluster: String) {
        self.init(statPrefix: cluster, clusters: [WeightedCluster(name: cluster, weight: 1)])
    }
}

/// Envoy: `extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`, reduced to what varies.
package struct HTTPConnectionManager: Codable, Equatable, Sendable {
    package enum ServerHeader: String, Codable, Sendable {
        case overwrite
        case passThrough = "pass_through"
    }

    /// `outbound_0.0.0.0_80`, `inbound_0.0.0.0_8000`.
    package var statPrefix: String
    /// Name of the `RouteConfiguration`.
    package var routeConfiguration: String
    /// What `server:` says in responses: `envoy` at sidecars' outbound side, `istio-envoy` inbound and at gateways.
    package var serverName: String
    package var serverHeader: ServerHeader
    /// Whether `x-request-id` is made for requests without one.
    package var generatesRequestID: Bool
    /// Envoy's `use_remote_address`: true appends the peer to `x-forwarded-for` (gateways).
    package var usesRemoteAddress: Bool
    /// Whether HTTP/1.0 requests are served; otherwise they get 426.
    package var acceptsHTTP10: Bool
    /// Set on every request to the upstream (`x-envoy-peer-metadata`, `x-envoy-peer-metadata-id`).
    package var requestHeadersToSet: [HeaderValue]
    /// Whether a route's decorator operation goes upstream as `x-envoy-decorator-operation`.
    package var propagatesDecorator: Bool
    /// nil removes `x-forwarded-client-cert`, as Envoy does by default.
    package var clientCertificateForwarding: ClientCertificateForwarding?
    /// What a request passes before it is routed, in this order; nil: nothing.
    package var httpFilters: [HTTPFilter]?
    /// nil: `base`, Istio's default.
    package var pathNormalization: PathNormalizationMode?
    /// Whether requests to clusters of `dynamicForwardProxy` have their Host resolved (Envoy's filter of that name);
    /// nil is no.
    package var hasDynamicForwardProxy: Bool?
    /// How long a connection may be without a request. 0: for ever; nil: an hour, as Envoy has it.
    package var idleTimeoutMs: Int?

    package init(
        statPrefix: String, routeConfiguration: String, serverName: String = "envoy",
        serverHeader: ServerHeader = .overwrite, generatesRequestID: Bool = true, usesRemoteAddress: Bool = false,
        acceptsHTTP10: Bool = false, requestHeadersToSet: [HeaderValue] = [], propagatesDecorator: Bool = false,
        clientCertificateForwarding: ClientCertificateForwarding? = nil, httpFilters: [HTTPFilter]? = nil
    ) {
        self.statPrefix = statPrefix
        self.routeConfiguration = routeConfiguration
        self.serverName = serverName
        self.serverHeader = serverHeader
        self.generatesRequestID = generatesRequestID
        self.usesRemoteAddress = usesRemoteAddress
        self.acceptsHTTP10 = acceptsHTTP10
        self.requestHeadersToSet = requestHeadersToSet
        self.propagatesDecorator = propagatesDecorator
        self.clientCertificateForwarding = clientCertificateForwarding
        self.httpFilters = httpFilters
    }
}

package struct HeaderValue: Codable, Equatable, Sendable {
    package var name: String
    package var value: String

    package init(name: String, value: String) {
        self.name = name
        self.value = value
    }
}
