import Manifests
import Mesh
import NetworkAddresses
import ProxyModel
import Testing

@Suite("What a DNS agent knows")
struct NameTableTests {
    private static let metadata = """
        {proxy.istio.io/config: "{proxyMetadata: {ISTIO_META_DNS_CAPTURE: 'true'}}"}
        """
    private static let client = KubernetesFixture.pod(
        "sleep", labels: "{sidecar.istio.io/inject: \"true\"}", annotations: metadata)
    private static let other = KubernetesFixture.pod("plain", labels: "{sidecar.istio.io/inject: \"true\"}")

    private static func names(_ yaml: String) throws -> NameTable {
        try #require(KubernetesFixture.plan(client + yaml).pod("sleep")?.agent).names
    }

    private static func addresses(_ names: NameTable, _ name: String) -> [String]? {
        names.answer(name)?.addresses.map(\.description)
    }

    @Test("a Service by each of its names, those without namespace only in its own")
    func services() throws {
        let names = try Self.names(
            Manifest.service("reviews", 80, "http") + Manifest.service("ratings", 80, "http", namespace: "books"))
        for name in ["reviews", "reviews.default", "reviews.default.svc", "reviews.default.svc.cluster.local"] {
            #expect(Self.addresses(names, name) == ["10.96.0.16"], "\(name)")
        }
        #expect(Self.addresses(names, "ratings") == nil)
        #expect(Self.addresses(names, "ratings.books") == ["10.96.0.17"])
        #expect(names.answer("reviews.default.svc.cluster.local")?.canonicalName == nil)
    }

    @Test("a name behind the first search domain, as an alias; behind the others it is unknown")
    func search() throws {
        let names = try Self.names(Manifest.entry("cnn", "edition.cnn.com", 443, "TLS"))
        let answer = names.answer("edition.cnn.com.default.svc.cluster.local")
        #expect(answer?.canonicalName == "edition.cnn.com" && answer?.addresses == [IPAddress(240, 240, 0, 1)])
        #expect(names.answer("edition.cnn.com.svc.cluster.local") == nil)
        #expect(names.answer("cnn.com") == nil)
    }

    @Test("the longest wildcard that covers a name, and never the bare suffix")
    func wildcards() throws {
        func entry(_ name: String, _ host: String, _ address: String) -> String {
            Manifest.entry(
                name, host, 443, "TLS", resolution: "STATIC",
                extra: "addresses: [\(address)]\nendpoints: [{address: 203.0.113.1}]")
        }
        let names = try Self.names(
            entry("a", "*.example", "192.0.2.1") + entry("b", "*.shop.example", "192.0.2.2")
                + entry("c", "www.shop.example", "192.0.2.3"))
        #expect(Self.addresses(names, "a.b.example") == ["192.0.2.1"])
        #expect(Self.addresses(names, "a.shop.example") == ["192.0.2.2"])
        #expect(Self.addresses(names, "www.shop.example") == ["192.0.2.3"])
        #expect(Self.addresses(names, "shop.example") == ["192.0.2.1"])
        #expect(Self.addresses(names, "example") == nil)
        #expect(names.answer("x.shop.example.default.svc.cluster.local")?.canonicalName == "x.shop.example")
    }

    @Test("nothing of what has no address: CIDR blocks, resolution NONE, headless Services without pods")
    func addressless() throws {
        let names = try Self.names(
            Manifest.entry("none", "none.example", 443, "TLS", resolution: "NONE")
                + Manifest.entry(
                    "block", "block.example", 443, "TCP", resolution: "NONE", extra: "addresses: [192.0.2.0/24]")
                + Manifest.service("empty", 80, "http", extra: "clusterIP: None"))
        for name in ["none.example", "block.example", "empty"] { #expect(names.answer(name) == nil, "\(name)") }
    }

    @Test("what the Sidecar resource leaves out is unknown")
    func scope() throws {
        let names = try Self.names(
            Manifest.service("reviews", 80, "http") + Manifest.service("ratings", 80, "http", namespace: "books")
                + """
                apiVersion: networking.istio.io/v1
                kind: Sidecar
                metadata: {name: default}
                spec: {egress: [{hosts: ["./*"]}]}
                """)
        #expect(names.answer("reviews.default") != nil && names.answer("ratings.books") == nil)
    }

    @Test("addresses of the families that the proxy speaks")
    func families() throws {
        let dual = KubernetesFixture.pod(
            "sleep", labels: "{sidecar.istio.io/inject: \"true\"}",
            annotations: """
                {proxy.istio.io/config: \
                "{proxyMetadata: {ISTIO_META_DNS_CAPTURE: 'true', ISTIO_DUAL_STACK: 'true'}}"}
                """)
        let plan = KubernetesFixture.plan(dual + Manifest.entry("cnn", "edition.cnn.com", 443, "TLS"))
        let agent = try #require(plan.pod("sleep")?.agent)
        #expect(Self.addresses(agent.names, "edition.cnn.com") == ["240.240.0.1", "2001:2::1"])
        #expect(agent.addresses == [.loopbackIPv4, .loopbackIPv6])
        #expect(agent.nameservers.map(\.description) == ["10.96.0.10", "fd00:10:96::a"])
    }

    @Test("a host's own address gives it a listener of its own and a domain, but only where DNS is captured")
    func virtualAddress() throws {
        let plan = KubernetesFixture.plan(
            Self.client + Self.other + Manifest.entry("a", "a.db.example", 5432, "TCP")
                + Manifest.entry("b", "b.db.example", 5432, "TCP") + Manifest.entry("c", "c.example", 80, "HTTP"))
        let capturing = try #require(plan.pod("sleep")?.proxy)
        #expect(
            capturing.listener("240.240.0.2_5432")?.filterChains.first?.tcpClusters
                == ["outbound|5432||b.db.example"])
        #expect(capturing.listener("0.0.0.0_5432") == nil)
        #expect(capturing.table("80")?.host("c.example:80")?.domains.contains("240.240.0.3") == true)
        let plain = try #require(plan.pod("plain"))
        #expect(plain.agent == nil && plain.proxy?.listener("0.0.0.0_5432") != nil)
        #expect(plain.proxy?.table("80")?.host("c.example:80")?.domains == ["c.example", "c.example."])
    }
}
