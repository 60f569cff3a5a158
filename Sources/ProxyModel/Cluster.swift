package import NetworkAddresses

/// Envoy: `config.cluster.v3.Cluster`.
package struct Cluster: Codable, Equatable, Sendable {
    package enum Discovery: String, Codable, Sendable {
        /// The address that the client dialled.
        case originalDestination = "ORIGINAL_DST"
        /// The listed addresses.
        case staticEndpoints = "STATIC"
        /// The listed addresses, known to the control plane; shown as EDS, otherwise as STATIC.
        case endpointDiscovery = "EDS"
        /// All addresses that the endpoints' names resolve to, load balanced.
        case strictDNS = "STRICT_DNS"
        /// The first address that the endpoint's name resolves to at connect time.
        case logicalDNS = "LOGICAL_DNS"
        /// The address of whatever name the request's Host or the connection's SNI gives (Envoy's cluster type
        /// `envoy.clusters.dynamic_forward_proxy`).
        case dynamicForwardProxy = "DYNAMIC_FORWARD_PROXY"
    }

    /// Envoy: `extensions.upstreams.http.v3.HttpProtocolOptions`.
    package enum HTTPProtocolOptions: String, Codable, Sendable {
        /// `explicit_http_config` with HTTP/1.1, which is what Envoy does without options.
        case http1 = "http_protocol_options"
        /// `explicit_http_config` with HTTP/2: one connection a host, shared by all requests.
        case http2 = "http2_protocol_options"
        /// `use_downstream_protocol_config`: as the request came.
        case useDownstreamProtocol = "use_downstream_protocol_config"
    }

    /// `outbound|443||edition.cnn.com`, `inbound|80||`, `PassthroughCluster`, `BlackHoleCluster`.
    package var name: String
    package var discovery: Discovery
    package var connectTimeoutMs: Int
    package var endpoints: [Endpoint]
    /// ORIGINAL_DST: connect to this port instead of the dialled one.
    package var upstreamPort: UInt16?
    /// Connect from this address (127.0.0.6 for inbound), per family.
    package var sourceAddresses: [IPAddress]
    /// IP families whose DNS answers are used.
    package var dnsFamilies: [IPFamily]
    /// How often a name is resolved again when its record gives no time to live, and after failures.
    package var dnsRefreshMs: Int
    /// nil: bytes go to the endpoints as they are.
    package var transportSocket: UpstreamTLSContext?
    /// Chosen by the endpoints' metadata, the first that matches before `transportSocket` (Istio's auto-mTLS).
    package var transportSocketMatches: [TransportSocketMatch]?
    /// nil: HTTP/1.1.
    package var httpProtocolOptions: HTTPProtocolOptions?
    /// nil: LEAST_REQUEST.
    package var loadBalancing: LoadBalancingPolicy?
    /// RING_HASH: Envoy's `minimum_ring_size`; nil: 1024.
    package var minimumRingSize: Int?
    /// MAGLEV: Envoy's `table_size`, a prime; nil: 65537.
    package var maglevTableSize: Int?
    /// nil: no host is ejected.
    package var outlierDetection: OutlierDetection?
    package var circuitBreakers: CircuitBreakers?
    /// nil: a connection serves any number of requests.
    package var maxRequestsPerConnection: Int?
    /// Streams that a connection of HTTP/2 carries at a time; nil: what its peer allows.
    package var maxConcurrentStreams: Int?
    /// How long a connection of HTTP is kept without a request. 0: for ever; nil: an hour, as Envoy has it.
    package var idleTimeoutMs: Int?
    /// After this a connection of HTTP takes no further request; nil: never.
    package var maxConnectionDurationMs: Int?
    package var origin: ConfigurationOrigin?

    package init(
        name: String, discovery: Discovery, connectTimeoutMs: Int = 10_000, endpoints: [Endpoint] = [],
        upstreamPort: UInt16? = nil, sourceAddresses: [IPAddress] = [], dnsFamilies: [IPFamily] = [.ipv4],
        dnsRefreshMs: Int = 60_000, transportSocket: UpstreamTLSContext? = nil,
        transportSocketMatches: [TransportSocketMatch]? = nil, httpProtocolOptions: HTTPProtocolOptions? = nil,
        loadBalancing: LoadBalancingPolicy? = nil, circuitBreakers: CircuitBreakers? = nil,
        maxRequestsPerConnection: Int? = nil, maxConcurrentStreams: Int? = nil, idleTimeoutMs: Int? = nil,
        maxConnectionDurationMs: Int? = nil, origin: ConfigurationOrigin? = nil
    ) {
        self.name = name
        self.discovery = discovery
        self.connectTimeoutMs = connectTimeoutMs
        self.endpoints = endpoints
        self.upstreamPort = upstreamPort
        self.sourceAddresses = sourceAddresses
        self.dnsFamilies = dnsFamilies
        self.dnsRefreshMs = dnsRefreshMs
        self.transportSocket = transportSocket
        self.transportSocketMatches = transportSocketMatches
        self.httpProtocolOptions = httpProtocolOptions
        self.loadBalancing = loadBalancing
        self.circuitBreakers = circuitBreakers
        self.maxRequestsPerConnection = maxRequestsPerConnection
        self.maxConcurrentStreams = maxConcurrentStreams
        self.idleTimeoutMs = idleTimeoutMs
        self.maxConnectionDurationMs = maxConnectionDurationMs
        self.origin = origin
    }
}

/// One endpoint of a cluster.
package struct Endpoint: Codable, Equatable, Sendable {
    /// An IP address, or a name for DNS clusters.
    package var host: String
    package var port: UInt16
    package var weight: Int
    /// Chooses among `transportSocketMatches` (Envoy: `envoy.transport_socket_match`): `tlsMode: istio`.
    package var metadata: [String: String]?

    package init(host: String, port: UInt16, weight: Int = 1, metadata: [String: String]? = nil) {
        self.host = host
        self.port = port
        self.weight = weight
        self.metadata = metadata
    }
}
