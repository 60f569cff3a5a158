import Manifests
import Mesh
import NetworkAddresses
import ProxyModel
import Testing

@Suite("Clusters")
struct ClusterPassTests {
    private func cluster(_ entry: String, _ name: String = "outbound|80||a.test") -> ProxyModel.Cluster? {
        IstioFixture(entry).configuration.cluster(name)
    }

    @Test("NONE goes where the client dialled, to the target port if there is one")
    func passthrough() throws {
        let entry = Manifest.entry("a", "a.test", 80, "HTTP", resolution: "NONE")
            .replacing("protocol: HTTP", with: "protocol: HTTP, targetPort: 8080")
        let found = try #require(cluster(entry))
        #expect(found.discovery == .originalDestination && found.upstreamPort == 8080 && found.endpoints.isEmpty)
    }

    @Test("DNS resolves the host itself, or the endpoints, by their named ports")
    func dns() throws {
        let bare = try #require(cluster(Manifest.entry("a", "a.test", 80, "HTTP")))
        #expect(bare.discovery == .strictDNS && bare.endpoints == [Endpoint(host: "a.test", port: 80)])
        let listed = try #require(
            cluster(
                Manifest.entry(
                    "a", "a.test", 80, "HTTP", extra: "endpoints: [{address: b.test, ports: {p80: 8081}}]")))
        #expect(listed.endpoints == [Endpoint(host: "b.test", port: 8081)])
        let one = try #require(cluster(Manifest.entry("a", "a.test", 80, "HTTP", resolution: "DNS_ROUND_ROBIN")))
        #expect(one.discovery == .logicalDNS)
    }

    @Test("STATIC takes the listed addresses of the proxy's families, and none where none are listed")
    func fixed() throws {
        let listed = try #require(
            cluster(
                Manifest.entry(
                    "a", "a.test", 80, "HTTP", resolution: "STATIC",
                    extra: "endpoints: [{address: 203.0.113.1}, {address: \"2001:db8::1\"}]")))
        #expect(listed.discovery == .endpointDiscovery && listed.endpoints.map(\.host) == ["203.0.113.1"])
    }

    @Test("A DestinationRule's limits and load balancing come to its clusters; 0 is no limit")
    func trafficPolicy() throws {
        func found(_ policy: String) throws -> ProxyModel.Cluster {
            let rule = """
                apiVersion: networking.istio.io/v1
                kind: DestinationRule
                metadata: {name: r}
                spec:
                  host: a.test
                  trafficPolicy: \(policy)
                """
            return try #require(cluster(Manifest.entry("a", "a.test", 80, "HTTP") + rule))
        }
        let limits = try found(
            """
            {connectionPool: {tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 2, http2MaxRequests: 3, \
            maxRetries: 4, maxRequestsPerConnection: 5}}, loadBalancer: {simple: RANDOM}}
            """)
        #expect(
            limits.circuitBreakers
                == CircuitBreakers(maxConnections: 1, maxPendingRequests: 2, maxRequests: 3, maxRetries: 4))
        #expect(limits.maxRequestsPerConnection == 5 && limits.loadBalancing == .random)
        let none = try found("{connectionPool: {http: {http2MaxRequests: 0}}, loadBalancer: {simple: LEAST_REQUEST}}")
        #expect(none.circuitBreakers == nil && none.loadBalancing == nil)
        #expect(try found("{loadBalancer: {simple: ROUND_ROBIN}}").loadBalancing == .roundRobin)
        let dialled = try found("{loadBalancer: {simple: PASSTHROUGH}}")
        #expect(dialled.discovery == .originalDestination && dialled.endpoints.isEmpty)
    }

    @Test("A DestinationRule's time limits and protocol come to its clusters")
    func connectionPool() throws {
        func found(_ pool: String, port kind: String = "HTTP") throws -> ProxyModel.Cluster {
            let rule = """
                apiVersion: networking.istio.io/v1
                kind: DestinationRule
                metadata: {name: r}
                spec:
                  host: a.test
                  trafficPolicy: {connectionPool: \(pool)}
                """
            return try #require(cluster(Manifest.entry("a", "a.test", 80, kind) + rule))
        }
        let both = try found("{tcp: {idleTimeout: 2s, maxConnectionDuration: 1m}, http: {idleTimeout: 500ms}}")
        #expect(both.idleTimeoutMs == 500 && both.maxConnectionDurationMs == 60_000)
        // What tcp says holds for HTTP, too, unless http has its own.
        #expect(try found("{tcp: {idleTimeout: 2s}}").idleTimeoutMs == 2000)
        #expect(try found("{http: {h2UpgradePolicy: UPGRADE}}").httpProtocolOptions == .http2)
        #expect(try found("{http: {h2UpgradePolicy: DO_NOT_UPGRADE}}").httpProtocolOptions == nil)
        #expect(try found("{http: {useClientProtocol: true}}").httpProtocolOptions == .useDownstreamProtocol)
        #expect(try found("{http: {maxConcurrentStreams: 7}}", port: "HTTP2").maxConcurrentStreams == 7)
        #expect(try found("{http: {maxConcurrentStreams: 7}}").maxConcurrentStreams == nil)
    }

    private func cluster(
        policy: String, port kind: String = "HTTP", mesh configure: (inout MeshConfig) -> Void = { _ in }
    ) throws -> ProxyModel.Cluster {
        let rule = """
            apiVersion: networking.istio.io/v1
            kind: DestinationRule
            metadata: {name: r}
            spec:
              host: a.test
              trafficPolicy: \(policy)
            """
        let fixture = IstioFixture(Manifest.entry("a", "a.test", 80, kind) + rule, configure: configure)
        return try #require(fixture.configuration.cluster("outbound|80||a.test"))
    }

    @Test("Consistent hashing chooses the algorithm, with Istio's sizes")
    func consistentHash() throws {
        let plain = try cluster(policy: "{loadBalancer: {consistentHash: {httpHeaderName: x}}}")
        #expect(plain.loadBalancing == .ringHash && plain.minimumRingSize == nil)
        let ring = try cluster(
            policy: "{loadBalancer: {consistentHash: {useSourceIp: true, ringHash: {minimumRingSize: 7}}}}")
        #expect(ring.loadBalancing == .ringHash && ring.minimumRingSize == 7)
        let maglev = try cluster(
            policy: "{loadBalancer: {consistentHash: {httpQueryParameterName: q, maglev: {tableSize: 11}}}}")
        #expect(maglev.loadBalancing == .maglev && maglev.maglevTableSize == 11)
    }

    @Test("Outlier detection has Envoy's defaults where Istio says nothing, and no panic")
    func outlierDetection() throws {
        #expect(try cluster(policy: "{outlierDetection: {}}").outlierDetection == OutlierDetection())
        let all = try cluster(
            policy: """
                {outlierDetection: {consecutive5xxErrors: 0, consecutiveGatewayErrors: 2, \
                consecutiveLocalOriginFailures: 3, splitExternalLocalOriginErrors: true, interval: 1s, \
                baseEjectionTime: 2m, maxEjectionPercent: 50, minHealthPercent: 40}}
                """)
        #expect(
            all.outlierDetection
                == OutlierDetection(
                    consecutive5xx: 0, consecutiveGatewayFailure: 2, consecutiveLocalOriginFailure: 3,
                    splitsLocalOriginErrors: true, intervalMs: 1000, baseEjectionTimeMs: 120_000,
                    maxEjectionPercent: 50, healthyPanicThreshold: 40))
    }

    @Test("The mesh upgrades ports that are HTTP for sure, unless a rule objects")
    func upgrade() throws {
        let mesh = { (mesh: inout MeshConfig) in mesh.h2UpgradePolicy = .upgrade }
        let other = "{connectionPool: {tcp: {connectTimeout: 1s}}}"
        #expect(try cluster(policy: other, mesh: mesh).httpProtocolOptions == .http2)
        #expect(try cluster(policy: other).httpProtocolOptions == nil)
        #expect(try cluster(policy: other, port: "TLS", mesh: mesh).httpProtocolOptions == nil)
        let objection = "{connectionPool: {http: {h2UpgradePolicy: DO_NOT_UPGRADE}}}"
        #expect(try cluster(policy: objection, mesh: mesh).httpProtocolOptions == nil)
    }

    @Test("DYNAMIC_DNS resolves what clients ask for: no endpoints, no subsets, and filters that do it")
    func dynamicDNS() throws {
        let entries =
            Manifest.entry("w", "*.wiki.test", 80, "HTTP", resolution: "DYNAMIC_DNS")
            + Manifest.entry("t", "*.wiki.test", 443, "TLS", resolution: "DYNAMIC_DNS") + """
                apiVersion: networking.istio.io/v1
                kind: DestinationRule
                metadata: {name: r}
                spec: {host: "*.wiki.test", subsets: [{name: one, labels: {a: b}}]}
                """
        let configuration = IstioFixture(entries).configuration
        let found = try #require(configuration.cluster("outbound|80||*.wiki.test"))
        #expect(found.discovery == .dynamicForwardProxy && found.endpoints.isEmpty && found.loadBalancing == nil)
        #expect(configuration.cluster("outbound|80|one|*.wiki.test") == nil)
        let http = try #require(configuration.listener("0.0.0.0_80")?.filterChains.first?.manager)
        #expect(http.hasDynamicForwardProxy == true)
        guard case .tcpProxy(let tcp)? = configuration.listener("0.0.0.0_443")?.filterChains.first?.filter else {
            Issue.record("no chain for TLS")
            return
        }
        #expect(tcp.dynamicForwardProxyPort == 443 && tcp.clusters.map(\.name) == ["outbound|443||*.wiki.test"])
    }

    @Test("A sidecar's own ports have the limits that hold for their Service's clients")
    func inboundPool() throws {
        let manifests = """
            apiVersion: v1
            kind: Service
            metadata: {name: web, namespace: default}
            spec: {selector: {app: sleep}, ports: [{name: http, port: 80, targetPort: 8080}]}
            ---
            apiVersion: networking.istio.io/v1
            kind: DestinationRule
            metadata: {name: web, namespace: default}
            spec:
              host: web.default.svc.cluster.local
              trafficPolicy:
                loadBalancer: {consistentHash: {useSourceIp: true}}
                outlierDetection: {consecutive5xxErrors: 1}
                connectionPool:
                  tcp: {maxConnections: 3, connectTimeout: 2s}
                  http: {http1MaxPendingRequests: 4, maxRequestsPerConnection: 5, h2UpgradePolicy: UPGRADE}
            """
        var fixture = KubernetesFixture(
            KubernetesFixture.namespace("default", "{istio-injection: enabled}")
                + KubernetesFixture.pod("sleep", labels: "{app: sleep}") + manifests)
        let (plan, _) = fixture.planAndDiagnose()
        let inbound = try #require(plan.pod("sleep")?.proxy?.cluster("inbound|8080||"))
        #expect(inbound.circuitBreakers == CircuitBreakers(maxConnections: 3, maxPendingRequests: 4))
        #expect(inbound.maxRequestsPerConnection == 5 && inbound.connectTimeoutMs == 2000)
        // What chooses among endpoints, or upgrades, is for clients alone.
        #expect(inbound.outlierDetection == nil && inbound.loadBalancing == nil && inbound.httpProtocolOptions == nil)
    }

    @Test("Subsets pick endpoints by their pods' labels")
    func subsets() throws {
        let rule = """
            apiVersion: networking.istio.io/v1
            kind: DestinationRule
            metadata: {name: r}
            spec:
              host: web
              trafficPolicy: {connectionPool: {tcp: {connectTimeout: 2s}}}
              subsets: [{name: all, labels: {app: web}}, {name: none, labels: {app: x}}]
            """
        let configuration = IstioFixture(Manifest.service("web", 80, "http") + rule).configuration
        func endpoints(_ subset: String) -> [String]? {
            configuration.cluster("outbound|80|\(subset)|web.default.svc.cluster.local")?.endpoints.map(\.host)
        }
        #expect(endpoints("") == ["10.244.0.20"] && endpoints("all") == ["10.244.0.20"] && endpoints("none") == [])
        #expect(configuration.cluster("outbound|80||web.default.svc.cluster.local")?.connectTimeoutMs == 2000)
        #expect(configuration.cluster("PassthroughCluster")?.connectTimeoutMs == 10_000)
    }

    @Test("Inbound: the ports that Services select, HTTP or not, from 127.0.0.6")
    func inbound() throws {
        let services =
            Manifest.service("sleep", 80, "http").replacing("port: 80", with: "port: 80, targetPort: 8000")
            + Manifest.service("sleep", 9000, "tcp").replacing("name: sleep,", with: "name: two,")
        let configuration = IstioFixture(services).configuration
        let listener = try #require(configuration.listener("virtualInbound"))
        let plain = listener.filterChains.filter { $0.transportSocket == nil && $0.match.transportProtocol != .tls }
        #expect(plain.map(\.match.destinationPort) == [15006, 8000, 9000])
        let manager = try #require(plain[1].manager)
        #expect(manager.statPrefix == "inbound_0.0.0.0_8000" && manager.serverName == "istio-envoy")
        #expect(configuration.table("inbound|8000||")?.virtualHosts.first?.routes.first?.name == "default")
        #expect(plain[2].tcpClusters == ["inbound|9000||"])
        #expect(listener.defaultFilterChain?.tcpClusters == ["InboundPassthroughCluster"])
        let cluster = try #require(configuration.cluster("inbound|8000||"))
        #expect(cluster.discovery == .originalDestination && cluster.sourceAddresses == [IPAddress(127, 0, 0, 6)])
    }

    @Test("Inbound: no two chains of a port take the same connection, for Envoy refuses them")
    func inboundMatches() throws {
        for name in ["http", "tcp", "x"] {
            let configuration = IstioFixture(Manifest.service("sleep", 8000, name)).configuration
            let chains = try #require(configuration.listener("virtualInbound")).filterChains
                .filter { $0.match.destinationPort == 8000 }
            let kinds = chains.flatMap { chain in
                let protocols = chain.match.applicationProtocols
                return (protocols.isEmpty ? ["any"] : protocols).map {
                    "\(chain.match.transportProtocol?.rawValue ?? "any") \($0)"
                }
            }
            #expect(chains.contains { $0.transportSocket != nil })
            #expect(Set(kinds).count == kinds.count, "\(name): \(kinds.sorted())")
        }
    }
}
