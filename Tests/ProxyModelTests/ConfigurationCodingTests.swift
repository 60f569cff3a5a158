import Foundation
import NetworkAddresses
import ProxyModel
import Testing

@Suite struct ConfigurationCodingTests {
    static let configuration = ProxyConfiguration(
        node: ProxyNode(
            id: "sidecar~10.244.0.5~sleep-1.default~default.svc.cluster.local", role: .sidecar, namespace: "default",
            pod: "sleep-1", workload: "sleep", labels: ["app": "sleep"]),
        listeners: [
            Listener(
                name: "0.0.0.0_80", addresses: [IPEndpoint(.anyIPv4, 80), IPEndpoint(.anyIPv6, 80)],
                trafficDirection: .outbound, listenerFilters: [.tlsInspector, .httpInspector],
                filterChains: [
                    FilterChain(
                        name: "http",
                        match: FilterChainMatch(
                            destinationPort: 80, prefixRanges: [.allIPv4], serverNames: ["*.a.org"],
                            transportProtocol: .rawBuffer, applicationProtocols: ["http/1.1", "h2c"]),
                        filter: .httpConnectionManager(
                            HTTPConnectionManager(
                                statPrefix: "outbound_0.0.0.0_80", routeConfiguration: "80",
                                requestHeadersToSet: [HeaderValue(name: "x", value: "y")])))
                ],
                defaultFilterChain: FilterChain(
                    name: "rest", filter: .tcpProxy(TCPProxy(cluster: "BlackHoleCluster")), isLogged: false))
        ],
        routes: [
            RouteConfiguration(
                name: "80",
                virtualHosts: [
                    VirtualHost(
                        name: "a.org:80", domains: ["a.org", "*.a.org"],
                        routes: [
                            Route(
                                name: "default",
                                match: RouteMatch(
                                    path: .regex("/x.*"),
                                    headers: [RouteMatch.Field(name: ":method", match: .present, inverted: true)]),
                                action: .forward(
                                    ForwardAction(
                                        clusters: [WeightedCluster(name: "outbound|80||a.org", weight: 3)],
                                        timeoutMs: 3000,
                                        retries: RetryPolicy(retryOn: ["connect-failure"], numRetries: 2))),
                                decorator: "a.org:80/*", origin: "ServiceEntry default/a, a.yaml:3"),
                            Route(action: .directResponse(status: 502, body: "")),
                        ])
                ])
        ],
        clusters: [
            Cluster(
                name: "outbound|80||a.org", discovery: .strictDNS, endpoints: [Endpoint(host: "a.org", port: 80)],
                upstreamPort: 8080, sourceAddresses: [IPAddress(127, 0, 0, 6)], dnsFamilies: [.ipv4, .ipv6])
        ],
        accessLogs: [AccessLogConfiguration(format: .istioJSON)], nameservers: [IPEndpoint(.loopbackIPv4, 53)])

    @Test("a configuration written as JSON is read back the same")
    func roundTrip() throws {
        let data = try JSONEncoder().encode(Self.configuration)
        #expect(try JSONDecoder().decode(ProxyConfiguration.self, from: data) == Self.configuration)
    }

    @Test("a record written as JSON is read back the same")
    func record() throws {
        var record = AccessLogRecord(kind: .tcp, streamID: 7, startTime: 1.5)
        record.responseFlags = ["UF", "URX"]
        record.upstreamHost = IPEndpoint("[2001:db8::1]:443")
        let data = try JSONEncoder().encode(record)
        #expect(try JSONDecoder().decode(AccessLogRecord.self, from: data) == record)
    }

    @Test("Envoy's names are used for what Envoy names")
    func names() throws {
        let text = String(decoding: try JSONEncoder().encode(Self.configuration), as: UTF8.self)
        for name in ["STRICT_DNS", "raw_buffer", "tls_inspector", "http_inspector"] {
            #expect(text.contains("\"\(name)\""))
        }
    }

    @Test("Istio's JSON format has its 24 keys")
    func jsonKeys() {
        guard case .json(let object) = AccessLogConfiguration.Format.istioJSON else {
            Issue.record("not JSON")
            return
        }
        #expect(object.count == 24)
    }
}
