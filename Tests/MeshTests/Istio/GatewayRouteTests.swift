import Manifests
import Mesh
import ProxyModel
import Testing

@Suite("Host tables of gateways")
struct GatewayRouteTests {
    private typealias Fixture = GatewayFixture

    private static func domains(_ servers: String, _ rules: String...) throws -> [String] {
        let fixture = try Fixture(
            Fixture.gateway(servers) + rules.joined() + Manifest.entry("a", "a.example", 80, "HTTP"))
        let hosts = fixture.gateway.table("http.8080")?.virtualHosts ?? []
        return hosts.filter { !$0.routes.isEmpty }.flatMap(\.domains)
    }

    private static func rules(
        _ hosts: String, gateways: String = "egress", name: String = "rules", namespace: String = "default",
        extra: String = ""
    ) -> String {
        Fixture.virtualService(
            hosts, "http: [\(Fixture.http("a.example"))]", gateways: gateways, name: name, namespace: namespace,
            extra: extra)
    }

    @Test(
        "Virtual hosts are what server and VirtualService both mean, in its narrower form",
        arguments: [
            ("a.example", "a.example", ["a.example"]), ("\"*\"", "a.example", ["a.example"]),
            ("a.example", "\"*\"", ["a.example"]), ("\"*.example\"", "a.example", ["a.example"]),
            ("a.example", "\"*.example\"", ["a.example"]), ("\"*.a.example\"", "\"*.example\"", ["*.a.example"]),
            ("\"*\"", "\"*\"", ["*"]), ("b.example", "a.example", []), ("\"*.example\"", "example", []),
            ("A.Example", "a.example", ["a.example"]),
        ] as [(String, String, [String])])
    func intersection(server: String, rule: String, expected: [String]) throws {
        #expect(try Self.domains(Fixture.server(80, "HTTP", server), Self.rules(rule)) == expected)
    }

    @Test(
        "A namespace before a host says whose VirtualServices may bind",
        arguments: [
            ("a.example", true, true), ("\"*/a.example\"", true, true), ("./a.example", true, false),
            ("default/a.example", true, false), ("other/a.example", false, true),
        ])
    func namespaces(host: String, own: Bool, other: Bool) throws {
        let server = Fixture.server(80, "HTTP", host)
        #expect(try Self.domains(server, Self.rules("a.example")).isEmpty != own)
        let foreign = Self.rules("a.example", gateways: "default/egress", namespace: "other")
        #expect(try Self.domains(server, foreign).isEmpty != other)
    }

    @Test(
        "A VirtualService binds by namespace and name, or by name in its own namespace",
        arguments: [
            ("egress", "default", true), ("default/egress", "default", true), ("default/egress", "other", true),
            ("egress", "other", false), ("other/egress", "default", false), ("mesh", "default", false),
            ("egress.default.svc.cluster.local", "other", true),
        ])
    func binding(name: String, namespace: String, isBound: Bool) throws {
        let found = try Self.domains(
            Fixture.server(80, "HTTP", "a.example"), Self.rules("a.example", gateways: name, namespace: namespace))
        #expect(found == (isBound ? ["a.example"] : []))
    }

    @Test("A VirtualService that is not exported to the gateway's namespace does not bind")
    func exportTo() throws {
        let server = Fixture.server(80, "HTTP", "a.example")
        #expect(try Self.domains(server, Self.rules("a.example", extra: ", exportTo: [\".\"]")).isEmpty)
        #expect(try Self.domains(server, Self.rules("a.example", extra: ", exportTo: [istio-system]")) == ["a.example"])
    }

    @Test("With no VirtualService at all the port answers 404 to everything")
    func nothingBound() throws {
        let fixture = try Fixture(Fixture.gateway(Fixture.server(80, "HTTP", "a.example")))
        let table = try #require(fixture.gateway.table("http.8080"))
        #expect(table.virtualHosts.map(\.domains) == [["*"]] && table.virtualHosts[0].routes.isEmpty)
        #expect(fixture.listenerNames == ["0.0.0.0_8080"])
    }

    @Test("Rules of several VirtualServices for a host follow each other, those for everything last")
    func concatenation() throws {
        func rule(_ name: String, _ path: String?) -> String {
            Fixture.virtualService(
                "a.example",
                "http: [\(Fixture.http("\(name).example", match: path.map { "{uri: {prefix: \($0)}}" }))]", name: name)
        }
        let fixture = try Fixture(
            Fixture.gateway(Fixture.server(80, "HTTP", "a.example")) + rule("all", nil) + rule("api", "/api")
                + rule("web", "/web")
                + ["all", "api", "web"].map { Manifest.entry($0, "\($0).example", 80, "HTTP") }.joined())
        let routes = fixture.gateway.table("http.8080")?.virtualHosts.first?.routes ?? []
        #expect(
            routes.compactMap { $0.forward?.clusters.first?.name } == [
                "outbound|80||api.example", "outbound|80||web.example", "outbound|80||all.example",
            ])
    }

    @Test("httpsRedirect sends every request to https, with a VirtualService and without")
    func httpsRedirect() throws {
        let server =
            "{port: {number: 80, name: http, protocol: HTTP}, hosts: [a.example, b.example], tls: {httpsRedirect: true}}"
        let fixture = try Fixture(
            Fixture.gateway(server) + Self.rules("a.example") + Manifest.entry("a", "a.example", 80, "HTTP"))
        let hosts = fixture.gateway.table("http.8080")?.virtualHosts ?? []
        #expect(Set(hosts.flatMap(\.domains)) == ["a.example", "b.example"])
        for route in hosts.flatMap(\.routes) {
            #expect(route.action == .redirect(RedirectAction(responseCode: 301, schemeRedirect: "https")))
        }
    }

    @Test("HTTPS servers have a table each, and count by the port that they declare")
    func httpsTables() throws {
        let server = Fixture.server(443, "HTTPS", "a.example", mode: "ISTIO_MUTUAL", name: "https")
        let fixture = try Fixture(
            Fixture.gateway(server)
                + Fixture.virtualService(
                    "a.example",
                    "http: [\(Fixture.http("a.example", match: "{port: 443}")), \(Fixture.http("b.example", match: "{port: 8443}"))]"
                ) + Manifest.entry("a", "a.example", 80, "HTTP"))
        let table = try #require(fixture.gateway.table("https.443.https.egress.default"))
        let clusters = table.virtualHosts.flatMap(\.routes).compactMap { $0.forward?.clusters.first?.name }
        #expect(clusters == ["outbound|80||a.example"])
        let chain = fixture.gateway.listener("0.0.0.0_8443")?.filterChains.first
        #expect(chain?.manager?.routeConfiguration == table.name)
    }

    @Test("A destination that the gateway's namespace does not see has no cluster there, and is told")
    func unseenDestination() throws {
        let fixture = try Fixture(
            Fixture.gateway(Fixture.server(80, "HTTP", "a.example")) + Self.rules("a.example")
                + Manifest.entry("a", "a.example", 80, "HTTP", extra: "exportTo: [\".\"]"))
        #expect(fixture.gateway.cluster("outbound|80||a.example") == nil)
        #expect(fixture.warnings.contains { $0.contains("a.example is no service that namespace istio-system sees") })
    }

    @Test("What does not fit together is told at its line")
    func checks() throws {
        let fixture = try Fixture(
            Fixture.gateway(
                Fixture.server(443, "HTTPS", "a.example", mode: "SIMPLE", tls: "credentialName: absent"))
                + Self.rules("a.example", gateways: "egress, nobody") + Manifest.entry("a", "a.example", 80, "HTTP"))
        let unknown = try #require(fixture.diagnostics.first { $0.message.contains("there is no Gateway") })
        #expect(unknown.message.contains("default/nobody") && unknown.remedy?.contains("default/egress") == true)
        #expect(unknown.severity == .warning && unknown.location?.file == "test.yaml")
        let secret = try #require(fixture.diagnostics.first { $0.message.contains("there is no Secret") })
        #expect(secret.message.contains("istio-system/absent") && secret.location != nil)
    }
}
