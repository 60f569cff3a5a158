import Manifests
import Mesh
import ProxyModel
import TestSupport
import Testing

@Suite("Listeners of gateways")
struct GatewayListenerTests {
    private typealias Fixture = GatewayFixture

    private static let http = Fixture.virtualService("edition.cnn.com", "http: [\(Fixture.http("edition.cnn.com"))]")
    private static let passthrough = Fixture.virtualService(
        "edition.cnn.com", "tls: [\(Fixture.tls("edition.cnn.com", "edition.cnn.com"))]")
    private static let bytes = Fixture.virtualService(
        "edition.cnn.com", "tcp: [{route: [{destination: {host: edition.cnn.com, port: {number: 443}}}]}]")

    private static func chains(_ fixture: Fixture, _ listener: String) -> [FilterChain] {
        fixture.gateway.listener(listener)?.filterChains ?? []
    }

    @Test("A server's port is the Service's; the proxy listens on the port behind it, else on the number itself")
    func portTranslation() throws {
        let servers = [80, 9000].map { Fixture.server($0, "HTTP", "edition.cnn.com") }.joined(separator: ", ")
        let fixture = try Fixture(Fixture.gateway(servers) + Self.http + Fixture.cnn)
        #expect(fixture.listenerNames == ["0.0.0.0_8080", "0.0.0.0_9000"])
        #expect(fixture.gateway.table("http.8080") != nil && fixture.gateway.table("http.9000") != nil)
    }

    @Test("A Gateway selects pods by label in every namespace; other pods and other labels get nothing of it")
    func selection() throws {
        let server = Fixture.server(80, "HTTP", "\"*\"")
        #expect(try Fixture(Fixture.gateway(server, namespace: "elsewhere")).listenerNames == ["0.0.0.0_8080"])
        let other = try Fixture(Fixture.gateway(server, selector: "{istio: other}"))
        #expect(other.listenerNames.isEmpty)
        #expect(other.warnings.contains { $0.contains("no gateway pod has the labels istio=other") })
        #expect(other.client.listener("0.0.0.0_8080") == nil)
    }

    @Test("HTTP servers of several Gateways share a port, and their hosts a table")
    func mergedHTTP() throws {
        let fixture = try Fixture(
            Fixture.gateway(Fixture.server(80, "HTTP", "a.example"), name: "one")
                + Fixture.gateway(Fixture.server(80, "HTTP2", "b.example"), name: "two")
                + Fixture.virtualService(
                    "a.example", "http: [\(Fixture.http("a.example"))]", gateways: "one", name: "a")
                + Fixture.virtualService(
                    "b.example", "http: [\(Fixture.http("b.example"))]", gateways: "two", name: "b")
                + Manifest.entry("a", "a.example", 80, "HTTP") + Manifest.entry("b", "b.example", 80, "HTTP"))
        #expect(fixture.listenerNames == ["0.0.0.0_8080"])
        #expect(Self.chains(fixture, "0.0.0.0_8080").count == 1)
        #expect(fixture.gateway.table("http.8080")?.virtualHosts.map(\.domains) == [["a.example"], ["b.example"]])
        #expect(fixture.warnings.isEmpty)
    }

    @Test("Servers of another kind on a port that is taken are skipped, and said so")
    func skippedKinds() throws {
        let fixture = try Fixture(
            Fixture.gateway(Fixture.server(80, "HTTP", "edition.cnn.com"), name: "egress")
                + Fixture.gateway(Fixture.server(80, "TCP", "\"*\""), name: "later")
                + Fixture.gateway(Fixture.server(80, "TLS", "\"*\"", mode: "PASSTHROUGH"), name: "last")
                + Self.http + Fixture.cnn)
        #expect(Self.chains(fixture, "0.0.0.0_8080").map { $0.manager != nil } == [true])
        let told = fixture.diagnostics.filter { $0.message.contains("is already served as HTTP") }
        #expect(told.map { $0.location?.file } == ["test.yaml", "test.yaml"])
    }

    @Test("Of two rules for one server name the older keeps it, and the later is told at its match")
    func sharedServerName() throws {
        let fixture = try Fixture(
            Fixture.gateway(Fixture.server(443, "TLS", "'*.example', edition.cnn.com", mode: "PASSTHROUGH"))
                + Fixture.virtualService(
                    "edition.cnn.com", "tls: [\(Fixture.tls("edition.cnn.com", "edition.cnn.com"))]")
                + Fixture.virtualService(
                    "edition.cnn.com, a.example",
                    "tls: [\(Fixture.tls("a.example, EDITION.cnn.com", "other.example"))]", name: "later")
                + Fixture.cnn)
        let told = fixture.diagnostics.filter { $0.message.contains("server name edition.cnn.com on port 443") }
        #expect(told.count == 1 && told.first?.message.contains("default/later") == true)
        #expect(told.first?.location?.line != nil)
        let chains = try #require(fixture.gateway.listener("0.0.0.0_8443")?.filterChains)
        #expect(chains.map(\.match.serverNames) == [["edition.cnn.com"], ["a.example"]])
    }

    @Test("TLS servers share a port by SNI; a host that an older server has is taken from the later")
    func mergedTLS() throws {
        let one = Fixture.server(443, "HTTPS", "a.example", mode: "SIMPLE", tls: "credentialName: a", name: "a")
        let two = Fixture.server(
            443, "HTTPS", "\"a.example\", \"b.example\"", mode: "SIMPLE", tls: "credentialName: b", name: "b")
        let fixture = try Fixture(Fixture.gateway(one, name: "one") + Fixture.gateway(two, name: "two"))
        #expect(Self.chains(fixture, "0.0.0.0_8443").map(\.match.serverNames) == [["a.example"], ["b.example"]])
        #expect(fixture.warnings.contains { $0.contains("host a.example on port 443 belongs to an older server") })
    }

    @Test("PASSTHROUGH: the chain's names are the rule's as written; a narrower host does not narrow them")
    func passthroughNames() throws {
        let fixture = try Fixture(
            Fixture.gateway(Fixture.server(443, "TLS", "en.wikipedia.org", mode: "PASSTHROUGH"))
                + Fixture.virtualService(
                    "\"*.wikipedia.org\"", "tls: [\(Fixture.tls("\"*.wikipedia.org\"", "www.wikipedia.org"))]")
                + Manifest.entry("wikipedia", "www.wikipedia.org", 443, "TLS"))
        let chains = Self.chains(fixture, "0.0.0.0_8443")
        #expect(chains.map(\.match.serverNames) == [["*.wikipedia.org"]])
        #expect(chains.map(\.tcpClusters) == [["outbound|443||www.wikipedia.org"]])
        #expect(chains.allSatisfy { $0.transportSocket == nil })
        #expect(fixture.gateway.listener("0.0.0.0_8443")?.listenerFilters == [.tlsInspector])
    }

    @Test("Unknown names have no chain to go to: gateways have no outbound policy")
    func noDefaultChain() throws {
        var mesh = MeshConfig()
        mesh.outboundTrafficPolicy = Located(.allowAny, at: SourceLocation(file: "mesh.yaml"))
        let fixture = try Fixture(
            Fixture.gateway(Fixture.server(443, "TLS", "edition.cnn.com", mode: "PASSTHROUGH")) + Self.passthrough
                + Fixture.cnn, mesh: mesh)
        #expect(fixture.gateway.listener("0.0.0.0_8443")?.defaultFilterChain == nil)
        #expect(fixture.gateway.cluster("PassthroughCluster") == nil)
        #expect(fixture.gateway.listener("virtualOutbound") == nil)
    }

    @Test("A TLS or TCP server without any rule makes no listener: the port refuses", arguments: [true, false])
    func withoutRules(isTLS: Bool) throws {
        let server =
            isTLS
            ? Fixture.server(443, "TLS", "edition.cnn.com", mode: "PASSTHROUGH") : Fixture.server(443, "TCP", "\"*\"")
        #expect(try Fixture(Fixture.gateway(server) + Fixture.cnn).listenerNames.isEmpty)
    }

    @Test("Rules count for the port that the server declares, and for the gateways they name")
    func ruleConditions() throws {
        func clusters(_ match: String) throws -> [[String]] {
            let fixture = try Fixture(
                Fixture.gateway(Fixture.server(443, "TLS", "edition.cnn.com", mode: "PASSTHROUGH"))
                    + Fixture.virtualService(
                        "edition.cnn.com",
                        "tls: [\(Fixture.tls("edition.cnn.com", "edition.cnn.com", match: match))]",
                        gateways: "mesh, egress") + Fixture.cnn)
            return Self.chains(fixture, "0.0.0.0_8443").map(\.tcpClusters)
        }
        let routed = [["outbound|443||edition.cnn.com"]]
        #expect(try clusters("") == routed)
        #expect(try clusters(", port: 443") == routed)
        #expect(try clusters(", port: 8443").isEmpty)
        #expect(try clusters(", gateways: [egress]") == routed)
        #expect(try clusters(", gateways: [mesh]").isEmpty)
        // They are the gateway's labels, not the client's.
        #expect(try clusters(", sourceLabels: {istio: egressgateway}") == routed)
        #expect(try clusters(", sourceLabels: {app: sleep}").isEmpty)
    }

    @Test("TCP goes by tcp rules; TLS that ends at the gateway, too")
    func tcpRules() throws {
        let plain = try Fixture(Fixture.gateway(Fixture.server(443, "TCP", "\"*\"")) + Self.bytes + Fixture.cnn)
        #expect(Self.chains(plain, "0.0.0.0_8443").map(\.tcpClusters) == [["outbound|443||edition.cnn.com"]])
        let server = Fixture.server(443, "TLS", "edition.cnn.com", mode: "ISTIO_MUTUAL")
        let ended = try Fixture(Fixture.gateway(server) + Self.bytes + Fixture.cnn)
        let chains = Self.chains(ended, "0.0.0.0_8443")
        #expect(chains.map(\.tcpClusters) == [["outbound|443||edition.cnn.com"]])
        #expect(chains.map(\.match.serverNames) == [["edition.cnn.com"]])
        #expect(chains.allSatisfy { $0.transportSocket?.requireClientCertificate == true })
        // tls rules mean nothing behind TLS that ends.
        let wrong = try Fixture(Fixture.gateway(server) + Self.passthrough + Fixture.cnn)
        #expect(wrong.listenerNames.isEmpty)
    }

    @Test("AUTO_PASSTHROUGH: chains for the mesh's own services, for its ALPN alone")
    func autoPassthrough() throws {
        let fixture = try Fixture(
            Fixture.gateway(Fixture.server(443, "TLS", "\"*.local\"", mode: "AUTO_PASSTHROUGH")) + Fixture.cnn
                + Manifest.service("reviews", 9080, "http"))
        let names = Self.chains(fixture, "0.0.0.0_8443").flatMap(\.match.serverNames)
        #expect(names.contains("outbound_.9080_._.reviews.default.svc.cluster.local"))
        #expect(!names.contains { $0.contains("cnn") })
        #expect(Self.chains(fixture, "0.0.0.0_8443").allSatisfy { $0.match.applicationProtocols.contains("istio") })
        #expect(fixture.gateway.cluster("outbound_.9080_._.reviews.default.svc.cluster.local") != nil)
    }

    @Test("Without a resolution, and with one")
    func resolution() throws {
        let gateway = Fixture.gateway(Fixture.server(443, "TLS", "edition.cnn.com", mode: "PASSTHROUGH"))
        let none = try Fixture(
            gateway + Self.passthrough + Manifest.entry("cnn", "edition.cnn.com", 443, "TLS", resolution: "NONE"))
        let cluster = try #require(none.gateway.cluster("outbound|443||edition.cnn.com"))
        #expect(cluster.discovery == .endpointDiscovery && cluster.endpoints.isEmpty)
        #expect(none.client.cluster("outbound|443||edition.cnn.com")?.discovery == .originalDestination)
        let dns = try Fixture(gateway + Self.passthrough + Fixture.cnn)
        #expect(dns.gateway.cluster("outbound|443||edition.cnn.com")?.discovery == .strictDNS)
    }

    @Test("A whole gateway: HTTP, TLS by SNI and HTTPS with the mesh's certificates")
    func golden() throws {
        let servers = [
            Fixture.server(80, "HTTP", "edition.cnn.com"),
            Fixture.server(443, "TLS", "edition.cnn.com", mode: "PASSTHROUGH"),
            Fixture.server(444, "HTTPS", "edition.cnn.com", mode: "ISTIO_MUTUAL"),
        ]
        let rules = Fixture.virtualService(
            "edition.cnn.com",
            """
            http: [\(Fixture.http("edition.cnn.com", match: "{port: 80}")),
                   \(Fixture.http("edition.cnn.com", match: "{port: 444}"))],
            tls: [\(Fixture.tls("edition.cnn.com", "edition.cnn.com"))]
            """)
        let fixture = try Fixture(Fixture.gateway(servers.joined(separator: ", ")) + rules + Fixture.cnn)
        Golden.expect(try fixture.gateway.json, equals: "egress-gateway.json")
    }
}
