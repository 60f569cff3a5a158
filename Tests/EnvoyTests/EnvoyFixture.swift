import NetworkAddresses
import ProxyModel

/// A small sidecar that uses everything a configuration can say.
enum EnvoyFixture {
    static var sidecar: ProxyConfiguration {
        ProxyConfiguration(
            node: ProxyNode(
                id: "sidecar~10.244.1.5~sleep-1.default~default.svc.cluster.local", role: .sidecar,
                namespace: "default", pod: "sleep-1", workload: "sleep", labels: ["app": "sleep"]),
            listeners: [virtualOutbound, http, tls, virtualInbound], routes: [table, inboundTable], clusters: clusters,
            accessLogs: [AccessLogConfiguration(format: .text("%START_TIME% %RESPONSE_CODE% 100%%"))],
            nameservers: [IPEndpoint(IPAddress(10, 96, 0, 10), 53)])
    }

    /// A proxy with the given clusters and nothing else.
    static func proxy(
        listeners: [Listener] = [], routes: [RouteConfiguration] = [], clusters: [Cluster] = [],
        accessLogs: [AccessLogConfiguration] = []
    ) -> ProxyConfiguration {
        ProxyConfiguration(
            node: sidecar.node, listeners: listeners, routes: routes, clusters: clusters, accessLogs: accessLogs)
    }

    static func wildcards(_ port: UInt16) -> [IPEndpoint] {
        [IPEndpoint(.anyIPv4, port), IPEndpoint(.anyIPv6, port)]
    }

    // MARK: Listeners

    private static let virtualOutbound = Listener(
        name: "virtualOutbound", addresses: wildcards(15001), trafficDirection: .outbound, bindToPort: true,
        useOriginalDestination: true,
        filterChains: [
            FilterChain(
                name: "virtualOutbound-trafficloop", match: FilterChainMatch(destinationPort: 15001),
                filter: .tcpProxy(TCPProxy(cluster: "BlackHoleCluster")), isLogged: false)
        ],
        defaultFilterChain: FilterChain(
            name: "virtualOutbound-catchall-tcp", filter: .tcpProxy(TCPProxy(cluster: "PassthroughCluster"))))

    static let http = Listener(
        name: "0.0.0.0_80", addresses: wildcards(80), trafficDirection: .outbound,
        listenerFilters: [.tlsInspector, .httpInspector],
        filterChains: [
            FilterChain(
                name: "0.0.0.0_80_http",
                match: FilterChainMatch(
                    transportProtocol: .rawBuffer, applicationProtocols: ["http/1.1", "h2c"]),
                filter: .httpConnectionManager(
                    HTTPConnectionManager(
                        statPrefix: "outbound_0.0.0.0_80", routeConfiguration: "80", acceptsHTTP10: true,
                        requestHeadersToSet: [HeaderValue(name: "X-Envoy-Peer-Metadata-Id", value: "50%")],
                        propagatesDecorator: true)),
                origin: "Service default/sleep, sleep.yaml:3")
        ],
        defaultFilterChain: FilterChain(
            name: "PassthroughFilterChain", filter: .tcpProxy(TCPProxy(cluster: "PassthroughCluster"))))

    private static let tls = Listener(
        name: "0.0.0.0_443", addresses: wildcards(443), trafficDirection: .outbound, listenerFilters: [.tlsInspector],
        listenerFiltersTimeoutMs: 1500,
        filterChains: [
            FilterChain(
                name: "outbound|443||a.example",
                match: FilterChainMatch(
                    prefixRanges: [IPPrefix("203.0.113.0/24")].compactMap(\.self),
                    serverNames: ["a.example", "*.a.example"], transportProtocol: .tls),
                filter: .tcpProxy(
                    TCPProxy(
                        statPrefix: "outbound|443||a.example",
                        clusters: [
                            WeightedCluster(name: "outbound|443||a.example", weight: 3),
                            WeightedCluster(name: "outbound|443||b.example", weight: 1),
                        ])))
        ])

    private static let virtualInbound = Listener(
        name: "virtualInbound", addresses: wildcards(15006), trafficDirection: .inbound, bindToPort: true,
        filterChains: [
            FilterChain(
                name: "0.0.0.0_8080", match: FilterChainMatch(destinationPort: 8080),
                filter: .httpConnectionManager(
                    HTTPConnectionManager(
                        statPrefix: "inbound_0.0.0.0_8080", routeConfiguration: "inbound|8080||",
                        serverName: "istio-envoy", serverHeader: .passThrough, generatesRequestID: false,
                        usesRemoteAddress: true, clientCertificateForwarding: .sidecarInbound)),
                transportSocket: DownstreamTLSContext(
                    tlsCertificate: ProxySecret.workloadIdentity, requireClientCertificate: true,
                    validation: CertificateValidation(
                        trustedCA: ProxySecret.meshRoots, subjectAltNames: [.prefix("spiffe://cluster.local/")]),
                    alpnProtocols: ["h2", "http/1.1"]))
        ])

    // MARK: Routes

    private static let table = RouteConfiguration(
        name: "80",
        virtualHosts: [
            VirtualHost(
                name: "shop.example:80", domains: ["shop.example", "shop.example.", "203.0.113.10"],
                routes: [
                    Route(
                        name: "canary",
                        match: RouteMatch(
                            path: .regex("/status/[0-9]{3}"), ignoresCase: true,
                            headers: [
                                RouteMatch.Field(name: ":method", match: .exact("GET")),
                                RouteMatch.Field(name: "X-Canary", match: .present),
                                RouteMatch.Field(name: "x-old", match: .prefix("yes"), inverted: true),
                            ],
                            queryParameters: [RouteMatch.Field(name: "v", match: .suffix("2"))]),
                        action: .forward(
                            ForwardAction(
                                clusters: [
                                    WeightedCluster(name: "outbound|80||shop.example", weight: 90),
                                    WeightedCluster(name: "outbound|80|v2|shop.example", weight: 10),
                                ],
                                timeoutMs: 1500,
                                retries: RetryPolicy(
                                    retryOn: ["connect-failure", "503"], numRetries: 2, perTryTimeoutMs: 250))),
                        decorator: "shop:80/status/[0-9]{3}", origin: "VirtualService default/shop, shop.yaml:9"),
                    Route(
                        match: RouteMatch(path: .suffix(".(png)")),
                        action: .directResponse(status: 404, body: "no pictures")),
                    Route(
                        name: "default",
                        action: .forward(
                            ForwardAction(clusters: [WeightedCluster(name: "outbound|80||shop.example")]))),
                ],
                origin: "ServiceEntry default/shop, shop.yaml:1"),
            VirtualHost(
                name: "block_all", domains: ["*"],
                routes: [
                    Route(
                        name: "block_all", match: RouteMatch(path: .prefix("/")),
                        action: .directResponse(status: 502, body: ""))
                ], includesAttemptCount: false),
        ])

    private static let inboundTable = RouteConfiguration(
        name: "inbound|8080||",
        virtualHosts: [
            VirtualHost(
                name: "inbound|http|8080", domains: ["*"],
                routes: [
                    Route(
                        name: "default", match: RouteMatch(path: .prefix("/")),
                        action: .forward(ForwardAction(clusters: [WeightedCluster(name: "inbound|8080||")])))
                ])
        ])

    // MARK: Clusters

    private static let clusters = [
        Cluster(name: "BlackHoleCluster", discovery: .staticEndpoints),
        Cluster(name: "PassthroughCluster", discovery: .originalDestination),
        Cluster(
            name: "outbound|80||shop.example", discovery: .strictDNS, connectTimeoutMs: 1000,
            endpoints: [Endpoint(host: "shop.example", port: 80)], dnsFamilies: [.ipv4, .ipv6]),
        Cluster(
            name: "outbound|80|v2|shop.example", discovery: .logicalDNS,
            endpoints: [Endpoint(host: "v2.shop.example", port: 8080)], dnsFamilies: [.ipv6]),
        Cluster(
            name: "outbound|443||a.example", discovery: .endpointDiscovery,
            endpoints: [
                Endpoint(host: "203.0.113.30", port: 443, weight: 2, metadata: ["tlsMode": "istio"]),
                Endpoint(host: "2001:db8::30", port: 443),
            ],
            transportSocketMatches: [
                TransportSocketMatch(
                    name: "tlsMode-istio", match: ["tlsMode": "istio"],
                    context: UpstreamTLSContext(
                        serverName: "outbound_.443_._.a.example", tlsCertificate: ProxySecret.workloadIdentity,
                        validation: CertificateValidation(trustedCA: ProxySecret.meshRoots), alpnProtocols: ["istio"])),
                TransportSocketMatch(name: "tlsMode-disabled"),
            ]),
        Cluster(
            name: "outbound|443||b.example", discovery: .strictDNS,
            endpoints: [Endpoint(host: "b.example", port: 443)],
            transportSocket: UpstreamTLSContext(
                autoServerName: true, autoSANValidation: true,
                validation: CertificateValidation(trustedCA: ProxySecret.systemRoots))),
        Cluster(
            name: "inbound|8080||", discovery: .originalDestination, upstreamPort: 8081,
            sourceAddresses: [IPAddress(127, 0, 0, 6), IPAddress(family: .ipv6, value: 6)]),
    ]
}
