import Manifests
import NetworkAddresses
import ProxyModel
import Testing

@Suite("Outbound listeners")
struct ListenerPassTests {
    @Test("The capture port itself is black-holed without a log line, the rest goes where the policy says")
    func virtualOutbound() throws {
        for (mode, cluster) in [
            (MeshConfig.OutboundTrafficPolicy.allowAny, "PassthroughCluster"), (.registryOnly, "BlackHoleCluster"),
        ] {
            let listener = try #require(IstioFixture(mode: mode).configuration.listener("virtualOutbound"))
            #expect(listener.addresses == [IPEndpoint(.anyIPv4, 15001)])
            #expect(listener.useOriginalDestination && listener.bindToPort && listener.listenerFilters.isEmpty)
            let loop = try #require(listener.filterChains.first)
            #expect(loop.match.destinationPort == 15001 && !loop.isLogged)
            #expect(loop.tcpClusters == ["BlackHoleCluster"])
            #expect(listener.defaultFilterChain?.tcpClusters == [cluster])
            #expect(listener.defaultFilterChain?.origin == "outboundTrafficPolicy \(mode.rawValue), mesh.yaml:3")
        }
    }

    @Test("The policy is ALLOW_ANY today and was REGISTRY_ONLY in 1.0 where nothing is said")
    func policyDefault() {
        let today = IstioFixture().configuration.listener("virtualOutbound")
        #expect(today?.defaultFilterChain?.tcpClusters == ["PassthroughCluster"])
        let then = IstioFixture(compatibility: .istio10).configuration.listener("virtualOutbound")
        #expect(then?.defaultFilterChain?.tcpClusters == ["BlackHoleCluster"])
    }

    @Test("HTTP services share one wildcard listener that recognises HTTP in plain bytes")
    func http() throws {
        let fixture = IstioFixture(
            Manifest.service("a", 80, "http") + Manifest.entry("b", "b.test", 80, "HTTP"), mode: .registryOnly)
        let configuration = fixture.configuration
        let listener = try #require(configuration.listener("0.0.0.0_80"))
        #expect(!listener.bindToPort && listener.listenerFilters == [.httpInspector])
        #expect(listener.filterChains.count == 1)
        let chain = try #require(listener.filterChains.first)
        #expect(chain.match.applicationProtocols == ["http/1.1", "h2c"] && chain.match.transportProtocol == .rawBuffer)
        #expect(chain.manager?.statPrefix == "outbound_0.0.0.0_80")
        #expect(listener.defaultFilterChain?.tcpClusters == ["BlackHoleCluster"])
        #expect(
            configuration.table("80")?.virtualHosts.map(\.name) == [
                "a.default.svc.cluster.local:80", "b.test:80", "block_all",
            ])
    }

    @Test("A TCP Service listens on its ClusterIP with one chain for everything")
    func tcpService() throws {
        let listener = try #require(
            IstioFixture(Manifest.service("db", 5432, "tcp")).configuration.listener("10.96.0.10_5432"))
        #expect(listener.filterChains.map(\.tcpClusters) == [["outbound|5432||db.default.svc.cluster.local"]])
        #expect(listener.filterChains.first?.match == FilterChainMatch() && listener.defaultFilterChain == nil)
    }

    @Test("A headless TCP Service has one listener for each pod")
    func headless() {
        let configuration = IstioFixture(Manifest.service("db", 5432, "tcp", extra: "clusterIP: None")).configuration
        #expect(configuration.listener("10.244.0.20_5432") != nil)
        #expect(configuration.listener("0.0.0.0_5432") == nil)
        #expect(configuration.cluster("outbound|5432||db.default.svc.cluster.local")?.discovery == .originalDestination)
    }

    @Test("A TCP ServiceEntry without addresses takes its port for every address")
    func tcpWithoutAddress() {
        let listener = IstioFixture(
            Manifest.entry("db", "db.test", 5432, "TCP", resolution: "NONE"), mode: .registryOnly
        )
        .configuration.listener("0.0.0.0_5432")
        #expect(listener?.filterChains.first?.match == FilterChainMatch())
        #expect(listener?.filterChains.first?.tcpClusters == ["outbound|5432||db.test"])
        #expect(listener?.defaultFilterChain == nil)
    }

    @Test("A TCP ServiceEntry with a block matches the block; the rest falls to the policy")
    func tcpBlock() throws {
        let entry = Manifest.entry(
            "db", "db.test", 5432, "TCP", resolution: "NONE", extra: "addresses: [\"203.0.113.0/24\"]")
        let listener = try #require(IstioFixture(entry, mode: .registryOnly).configuration.listener("0.0.0.0_5432"))
        #expect(listener.filterChains.first?.match.prefixRanges.map(\.description) == ["203.0.113.0/24"])
        #expect(listener.defaultFilterChain?.tcpClusters == ["BlackHoleCluster"])
    }

    @Test("A block at 0.0.0.0 is no condition beside others, as in Istio: Envoy could not tell it from none at all")
    func blockOfEverything() throws {
        func ranges(_ addresses: String) throws -> [String]? {
            let entry = Manifest.entry(
                "db", "db.test", 5432, "TCP", resolution: "NONE", extra: "addresses: [\(addresses)]")
            let listener = try #require(IstioFixture(entry).configuration.listener("0.0.0.0_5432"))
            return listener.filterChains.first?.match.prefixRanges.map(\.description)
        }
        #expect(try ranges("\"203.0.113.0/24\", \"0.0.0.0/0\"") == ["203.0.113.0/24"])
        #expect(try ranges("\"0.0.0.0/0\"") == [])
    }

    @Test("TLS without address is told apart by server name; on an address it is not")
    func tls() throws {
        let bare = try #require(
            IstioFixture(Manifest.entry("w", "*.wikipedia.org", 443, "TLS", resolution: "NONE"), mode: .registryOnly)
                .configuration.listener("0.0.0.0_443"))
        #expect(bare.listenerFilters == [.tlsInspector])
        #expect(bare.filterChains.map(\.match.serverNames) == [["*.wikipedia.org"]])
        #expect(bare.defaultFilterChain?.tcpClusters == ["BlackHoleCluster"])

        let entry = Manifest.entry("v", "v.test", 443, "HTTPS", extra: "addresses: [\"203.0.113.9\"]")
        let bound = try #require(IstioFixture(entry).configuration.listener("203.0.113.9_443"))
        #expect(bound.filterChains.map(\.match) == [FilterChainMatch()] && bound.listenerFilters.isEmpty)
    }

    @Test("TLS and HTTP on one port keep both chains and both inspectors")
    func tlsAndHTTP() throws {
        let both = Manifest.entry("a", "a.test", 8443, "TLS") + Manifest.entry("b", "b.test", 8443, "HTTP")
        let listener = try #require(IstioFixture(both).configuration.listener("0.0.0.0_8443"))
        #expect(listener.listenerFilters == [.tlsInspector, .httpInspector])
        #expect(listener.filterChains.map { $0.manager != nil } == [true, false])
        #expect(listener.defaultFilterChain?.tcpClusters == ["PassthroughCluster"])
    }

    @Test("TCP for everything beside HTTP becomes the default chain, since Envoy never goes back")
    func tcpAndHTTP() throws {
        let both = Manifest.entry("a", "a.test", 8000, "TCP") + Manifest.entry("b", "b.test", 8000, "HTTP")
        let listener = try #require(IstioFixture(both).configuration.listener("0.0.0.0_8000"))
        #expect(listener.filterChains.count == 1 && listener.filterChains.first?.manager != nil)
        #expect(listener.defaultFilterChain?.tcpClusters == ["outbound|8000||a.test"])
    }

    @Test("An unnamed port of a Service is sniffed on its ClusterIP, whatever the Host")
    func sniffed() throws {
        let configuration = IstioFixture(Manifest.service("a", 9000, "x")).configuration
        let listener = try #require(configuration.listener("10.96.0.10_9000"))
        let table = "a.default.svc.cluster.local:9000"
        #expect(listener.filterChains.first?.manager?.routeConfiguration == table)
        #expect(listener.defaultFilterChain?.tcpClusters == ["outbound|9000||a.default.svc.cluster.local"])
        #expect(configuration.table(table)?.virtualHosts.map(\.domains) == [["*"]])
        #expect(configuration.listener("0.0.0.0_9000") == nil)
    }

    @Test("The older of two services that match the same keeps the listener, and the newer is told")
    func conflict() throws {
        let both = Manifest.entry("a", "a.test", 5432, "TCP") + Manifest.entry("b", "b.test", 5432, "TCP")
        let (configuration, diagnostics) = IstioFixture(both).compile()
        let listener = try #require(configuration.listener("0.0.0.0_5432"))
        #expect(listener.filterChains.map(\.tcpClusters) == [["outbound|5432||a.test"]])
        #expect(diagnostics.map(\.message).contains { $0.hasPrefix("b.test:5432") && $0.contains("conflicts") })
    }

    @Test("Mongo and MySQL mix with nothing")
    func exclusive() throws {
        let both = Manifest.entry("a", "a.test", 3306, "MySQL") + Manifest.entry("b", "b.test", 3306, "HTTP")
        let (configuration, diagnostics) = IstioFixture(both).compile()
        #expect(configuration.listener("0.0.0.0_3306")?.filterChains.map(\.tcpClusters) == [["outbound|3306||a.test"]])
        #expect(diagnostics.count == 1 && configuration.table("3306") == nil)
    }

    @Test("The proxy's own ports get no wildcard listener, UDP none at all", arguments: [15001, 15006, 15021, 15090])
    func reserved(port: UInt16) {
        let configuration = IstioFixture(Manifest.entry("a", "a.test", port, "HTTP")).configuration
        #expect(configuration.listeners.map(\.name) == ["virtualOutbound", "virtualInbound"])
    }

    @Test("IPv6 wildcards and addresses exist only where IPv6 is on")
    func ipv6() throws {
        let entry =
            Manifest.entry("a", "a.test", 80, "HTTP")
            + Manifest.entry("b", "b.test", 5432, "TCP", extra: "addresses: [\"2001:db8::1\", \"203.0.113.1\"]")
        let dual = IstioFixture(entry, isIPv6: true).configuration
        #expect(dual.listener("virtualOutbound")?.addresses.map(\.description) == ["0.0.0.0:15001", "[::]:15001"])
        #expect(dual.listener("virtualInbound")?.addresses.map(\.description) == ["0.0.0.0:15006", "[::]:15006"])
        #expect(dual.listener("0.0.0.0_80")?.addresses.map(\.description) == ["0.0.0.0:80", "[::]:80"])
        #expect(dual.listener("[2001:db8::1]_5432") != nil)
        #expect(dual.cluster("outbound|80||a.test")?.dnsFamilies == [.ipv4, .ipv6])
        let single = IstioFixture(entry).configuration
        #expect(single.listener("[2001:db8::1]_5432") == nil && single.listener("203.0.113.1_5432") != nil)
        #expect(single.cluster("outbound|80||a.test")?.dnsFamilies == [.ipv4])
    }

    @Test("A VirtualService's tls rule replaces the service's own chain")
    func tlsRule() throws {
        let rule = """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: w}
            spec:
              hosts: ["*.wikipedia.org"]
              tls:
              - match: [{port: 443, sniHosts: ["en.wikipedia.org", "de.wikipedia.org"]}]
                route: [{destination: {host: "www.wikipedia.org", port: {number: 443}}}]
            """
        let manifests =
            Manifest.entry("w", "*.wikipedia.org", 443, "TLS", resolution: "NONE")
            + Manifest.entry("www", "www.wikipedia.org", 443, "TLS") + rule
        let listener = try #require(IstioFixture(manifests).configuration.listener("0.0.0.0_443"))
        #expect(listener.filterChains.map(\.match.serverNames) == [["en.wikipedia.org", "de.wikipedia.org"]])
        #expect(listener.filterChains.map(\.tcpClusters) == [["outbound|443||www.wikipedia.org"]])
        #expect(listener.filterChains.first?.origin == "VirtualService default/w, manifests.yaml:27")
    }
}
