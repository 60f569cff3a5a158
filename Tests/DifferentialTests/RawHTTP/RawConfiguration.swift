import NetworkAddresses
import Proxy
import ProxyModel

/// The proxy that raw cases talk to: for each lane the same listeners, routes and clusters with ports of its own.
struct RawConfiguration: Sendable {
    static let laneCount = 8
    private static let listeners = ["plain", "edge", "old", "insp", "tls"]
    private static let portsPerLane: UInt16 = 8

    let basePort: UInt16

    func listener(_ name: String, lane: Int) -> IPEndpoint? {
        Self.listeners.firstIndex(of: name).map { IPEndpoint(.loopbackIPv4, port(lane, UInt16($0))) }
    }

    func server(_ lane: Int) -> IPEndpoint { IPEndpoint(.loopbackIPv4, port(lane, 5)) }
    /// Nobody listens there.
    private func refusing(_ lane: Int) -> UInt16 { port(lane, 6) }
    /// Listens with a full queue.
    var silent: IPEndpoint { IPEndpoint(.loopbackIPv4, port(Self.laneCount, 0)) }

    private func port(_ lane: Int, _ offset: UInt16) -> UInt16 { basePort + UInt16(lane) * Self.portsPerLane + offset }

    var configuration: ProxyConfiguration {
        let lanes = 0..<Self.laneCount
        return ProxyConfiguration(
            node: ProxyNode(
                id: "sidecar~127.0.0.1~raw-1.default~default.svc.cluster.local", role: .sidecar,
                namespace: "default", pod: "raw-1", workload: "raw"),
            listeners: lanes.flatMap { lane in Self.listeners.map { listener($0, lane) } },
            routes: lanes.map { RouteConfiguration(name: "routes-\($0)", virtualHosts: hosts($0)) },
            clusters: [Cluster(name: "BlackHoleCluster", discovery: .staticEndpoints)] + lanes.flatMap(clusters),
            accessLogs: [AccessLogConfiguration(format: .istioText)])
    }

    private func listener(_ name: String, _ lane: Int) -> Listener {
        let manager = HTTPConnectionManager(
            statPrefix: "\(name)-\(lane)", routeConfiguration: "routes-\(lane)", usesRemoteAddress: name == "edge",
            acceptsHTTP10: name == "old")
        if name == "tls" { return encrypted(lane) }
        let isInspected = name == "insp"
        let chain = FilterChain(
            name: "http", match: FilterChainMatch(applicationProtocols: isInspected ? ["http/1.1", "h2c"] : []),
            filter: .httpConnectionManager(manager))
        return Listener(
            name: "\(name)-\(lane)", addresses: [listener(name, lane: lane)].compactMap(\.self),
            trafficDirection: .outbound, bindToPort: true, listenerFilters: isInspected ? [.httpInspector] : [],
            filterChains: [chain],
            defaultFilterChain: isInspected
                ? FilterChain(name: "rest", filter: .tcpProxy(TCPProxy(cluster: "BlackHoleCluster"))) : nil)
    }

    /// Tells by the cluster what was made of a ClientHello.
    private func encrypted(_ lane: Int) -> Listener {
        let chain = FilterChain(
            name: "hello", match: FilterChainMatch(serverNames: ["a.test"], transportProtocol: .tls),
            filter: .tcpProxy(TCPProxy(cluster: "empty-\(lane)")))
        return Listener(
            name: "tls-\(lane)", addresses: [listener("tls", lane: lane)].compactMap(\.self),
            trafficDirection: .outbound, bindToPort: true, listenerFilters: [.tlsInspector, .httpInspector],
            filterChains: [chain],
            defaultFilterChain: FilterChain(name: "rest", filter: .tcpProxy(TCPProxy(cluster: "BlackHoleCluster"))))
    }

    private func clusters(_ lane: Int) -> [Cluster] {
        let places: [(name: String, port: UInt16, connectTimeoutMs: Int)] = [
            ("up", server(lane).port, 5000), ("refused", refusing(lane), 5000), ("silent", silent.port, 300),
        ]
        return places.map { place in
            Cluster(
                name: "\(place.name)-\(lane)", discovery: .staticEndpoints, connectTimeoutMs: place.connectTimeoutMs,
                endpoints: [Endpoint(host: "127.0.0.1", port: place.port)])
        } + [Cluster(name: "empty-\(lane)", discovery: .staticEndpoints)]
    }

    private func hosts(_ lane: Int) -> [VirtualHost] {
        func route(_ cluster: String, timeoutMs: Int = 0, _ retries: RetryPolicy? = nil) -> RouteAction {
            .forward(
                ForwardAction(
                    clusters: [WeightedCluster(name: "\(cluster)-\(lane)")], timeoutMs: timeoutMs, retries: retries))
        }
        func host(_ domains: [String], _ action: RouteAction) -> VirtualHost {
            VirtualHost(
                name: domains[0], domains: domains,
                routes: [Route(name: "default", match: RouteMatch(path: .prefix("/")), action: action)])
        }
        let istio = RetryPolicy(
            retryOn: ["connect-failure", "refused-stream", "unavailable", "cancelled", "retriable-status-codes"],
            numRetries: 2)
        var perTry = RetryPolicy(retryOn: ["5xx"], numRetries: 2)
        perTry.perTryTimeoutMs = 150
        return [
            host(["a", "a.test", "[::1]", "10.0.0.1"], route("up", istio)),
            host(["none.test"], route("missing")), host(["empty.test"], route("empty", istio)),
            host(["refused.test"], route("refused", istio)), host(["silent.test"], route("silent", istio)),
            host(["timeout.test"], route("up", timeoutMs: 200, istio)), host(["pertry.test"], route("up", perTry)),
            host(["s5.test"], route("up", RetryPolicy(retryOn: ["5xx"], numRetries: 2))),
            host(
                ["rs.test"],
                route(
                    "up",
                    RetryPolicy(
                        retryOn: ["reset", "retriable-status-codes"], numRetries: 2, retriableStatusCodes: [500]))),
            VirtualHost(
                name: "path", domains: ["path.test"],
                routes: [
                    Route(name: "adm", match: RouteMatch(path: .prefix("/admin")), action: route("up")),
                    Route(
                        name: "pub", match: RouteMatch(path: .prefix("/pub")),
                        action: .directResponse(status: 200, body: "pub")),
                ]),
            VirtualHost(
                name: "block_all", domains: ["*"],
                routes: [
                    Route(
                        name: "block_all", match: RouteMatch(path: .prefix("/")),
                        action: .directResponse(status: 502, body: ""))
                ]),
        ]
    }
}
