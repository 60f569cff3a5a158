import Manifests
import NetworkAddresses
import ProxyModel
import Testing

@Suite("Outbound routes")
struct RoutePassTests {
    private func rule(_ name: String, _ spec: String, namespace: String = "default") -> String {
        """
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: \(name), namespace: \(namespace)}
        spec:
        \(spec.split(separator: "\n").map { "  \($0)\n" }.joined())
        ---

        """
    }

    @Test("Unknown hosts get 502 or pass, by policy")
    func catchAll() throws {
        let entry = Manifest.entry("a", "a.test", 80, "HTTP")
        let blocked = try #require(
            IstioFixture(entry, mode: .registryOnly).configuration.table("80")?.host("block_all")?.routes.first)
        #expect(blocked.action == .directResponse(status: 502, body: "") && blocked.name == "block_all")
        #expect(blocked.origin == "outboundTrafficPolicy REGISTRY_ONLY, mesh.yaml:3")
        let open = try #require(IstioFixture(entry).configuration.table("80")?.host("allow_any")?.routes.first)
        #expect(open.forward?.clusters.map(\.name) == ["PassthroughCluster"])
        #expect(open.forward?.timeoutMs == 0 && open.forward?.retries == nil && open.name == "allow_any")
    }

    @Test("A Sidecar's policy replaces the mesh's")
    func sidecarPolicy() {
        let sidecar = """
            apiVersion: networking.istio.io/v1
            kind: Sidecar
            metadata: {name: s}
            spec: {outboundTrafficPolicy: {mode: REGISTRY_ONLY}}
            """
        let listener = IstioFixture(sidecar, mode: .allowAny).configuration.listener("virtualOutbound")
        #expect(listener?.defaultFilterChain?.tcpClusters == ["BlackHoleCluster"])
        #expect(
            listener?.defaultFilterChain?.origin
                == "Sidecar default/s outboundTrafficPolicy REGISTRY_ONLY, manifests.yaml:4")
    }

    @Test("A Service answers to its names and addresses; the short name only in its own namespace")
    func domains() throws {
        let services = Manifest.service("a", 80, "http") + Manifest.service("b", 80, "http", namespace: "other")
        let table = try #require(IstioFixture(services).configuration.table("80"))
        #expect(
            table.host("a.default.svc.cluster.local:80")?.domains == [
                "a.default.svc.cluster.local", "a.default.svc.cluster.local.", "a", "a.default.svc", "a.default",
                "10.96.0.10",
            ])
        #expect(table.host("b.other.svc.cluster.local:80")?.domains.contains("b") == false)
        #expect(table.ignoresPortInHost)
    }

    @Test("A ServiceEntry answers to its host and addresses, a headless Service also below its names")
    func otherDomains() throws {
        let manifests =
            Manifest.entry(
                "a", "a.test", 80, "HTTP", resolution: "NONE",
                extra: "addresses: [\"203.0.113.1\", \"203.0.113.64/28\"]")
            + Manifest.entry("w", "*.w.test", 80, "HTTP", resolution: "NONE")
            + Manifest.service("h", 80, "http", extra: "clusterIP: None")
        let table = try #require(IstioFixture(manifests).configuration.table("80"))
        #expect(table.host("a.test:80")?.domains == ["a.test", "a.test.", "203.0.113.1"])
        #expect(table.host("*.w.test:80")?.domains == ["*.w.test"])
        #expect(table.host("h.default.svc.cluster.local:80")?.domains.contains("*.h.default") == true)
    }

    @Test("The default route retries twice, has no timeout and names its operation")
    func defaultRoute() throws {
        let table = IstioFixture(Manifest.entry("h", "httpbin.org", 80, "HTTP")).configuration.table("80")
        let route = try #require(table?.host("httpbin.org:80")?.routes.first)
        #expect(route.name == "default" && route.decorator == "httpbin.org:80/*")
        #expect(route.forward?.timeoutMs == 0 && route.forward?.retries?.numRetries == 2)
        #expect(
            route.forward?.retries?.retryOn == [
                "connect-failure", "refused-stream", "unavailable", "cancelled", "retriable-status-codes",
            ])
        #expect(route.origin == "ServiceEntry default/h, manifests.yaml:6")
    }

    @Test("A VirtualService sets timeout, retries, weights and names")
    func virtualService() throws {
        let spec = """
            hosts: [httpbin.org]
            http:
            - name: slow
              match: [{name: get, uri: {prefix: /delay}, method: {exact: GET}, headers: {x-a: {regex: "b.*"}}}]
              timeout: 3s
              retries: {attempts: 5, perTryTimeout: 1s, retryOn: "5xx,418"}
              route:
              - {destination: {host: httpbin.org}, weight: 80}
              - {destination: {host: other.test}, weight: 20}
            - retries: {attempts: 0}
              route: [{destination: {host: httpbin.org}}]
            """
        let manifests =
            Manifest.entry("h", "httpbin.org", 80, "HTTP") + Manifest.entry("o", "other.test", 8080, "HTTP")
            + rule("v", spec)
        let routes = try #require(IstioFixture(manifests).configuration.table("80")?.host("httpbin.org:80")?.routes)
        #expect(routes.count == 2)
        let slow = try #require(routes.first)
        #expect(slow.name == "slow.get" && slow.decorator == "v:80/delay*")
        #expect(slow.match.path == .prefix("/delay"))
        #expect(
            slow.match.headers == [
                RouteMatch.Field(name: ":method", match: .exact("GET")),
                RouteMatch.Field(name: "x-a", match: .regex("b.*")),
            ])
        // The only port of the destination, not the listener's.
        #expect(
            slow.forward?.clusters == [
                WeightedCluster(name: "outbound|80||httpbin.org", weight: 80),
                WeightedCluster(name: "outbound|8080||other.test", weight: 20),
            ])
        #expect(
            slow.forward?.retries
                == RetryPolicy(
                    retryOn: ["5xx", "retriable-status-codes"], numRetries: 5, perTryTimeoutMs: 1000,
                    retriableStatusCodes: [418]))
        #expect(slow.forward?.timeoutMs == 3000)
        #expect(routes.last?.name == nil && routes.last?.forward?.retries == nil)
        #expect(routes.last?.decorator == "httpbin.org:80/*")
    }

    @Test(
        "Rules meant for others have no effect",
        arguments: [
            "port: 81", "sourceLabels: {app: other}", "sourceNamespace: other",
        ])
    func notMeant(match: String) throws {
        let spec = """
            hosts: [a.test]
            http:
            - match: [{\(match)}]
              timeout: 1s
              route: [{destination: {host: a.test}}]
            """
        let manifests = Manifest.entry("a", "a.test", 80, "HTTP") + rule("v", spec)
        let route = IstioFixture(manifests).configuration.table("80")?.host("a.test:80")?.routes.first
        #expect(route?.name == "default")
    }

    @Test("With gateways given, an HTTP match ignores sourceLabels")
    func gatewaysHideLabels() {
        let spec = """
            hosts: [a.test]
            http:
            - match: [{gateways: [mesh], sourceLabels: {app: other}}]
              name: hit
              route: [{destination: {host: a.test}}]
            """
        let manifests = Manifest.entry("a", "a.test", 80, "HTTP") + rule("v", spec)
        #expect(IstioFixture(manifests).configuration.table("80")?.host("a.test:80")?.routes.first?.name == "hit")
    }

    @Test("The most specific host wins, then the oldest rule")
    func precedence() {
        func spec(_ host: String, _ name: String) -> String {
            "hosts: [\"\(host)\"]\nhttp: [{name: \(name), route: [{destination: {host: a.x.test}}]}]"
        }
        let manifests =
            Manifest.entry("a", "a.x.test", 80, "HTTP") + rule("v1", spec("*.test", "wide"))
            + rule("v2", spec("*.x.test", "narrow")) + rule("v3", spec("a.x.test", "older"))
            + rule("v4", spec("a.x.test", "newer"))
        let (configuration, diagnostics) = IstioFixture(manifests).compile()
        #expect(configuration.table("80")?.host("a.x.test:80")?.routes.first?.name == "older")
        #expect(diagnostics.count == 1 && diagnostics.first?.message.hasPrefix("VirtualService/default/v4") == true)
    }

    @Test("Hosts that no service has are known on port 80 only")
    func unregistered() {
        let spec = "hosts: [ghost.test]\nhttp: [{route: [{destination: {host: a.test, port: {number: 80}}}]}]"
        let manifests =
            Manifest.entry("a", "a.test", 80, "HTTP") + Manifest.entry("b", "b.test", 8080, "HTTP") + rule("v", spec)
        let configuration = IstioFixture(manifests).configuration
        #expect(configuration.table("80")?.host("ghost.test:80")?.domains == ["ghost.test"])
        #expect(configuration.table("8080")?.virtualHosts.map(\.name) == ["b.test:8080", "allow_any"])
    }

    @Test("An unknown destination or subset leaves a cluster that does not exist, and a warning")
    func missingCluster() {
        let spec = """
            hosts: [a.test]
            http:
            - match: [{uri: {exact: /x}}]
              route: [{destination: {host: a.test, subset: v1}}]
            - route: [{destination: {host: gone}}]
            """
        let (configuration, diagnostics) = IstioFixture(
            Manifest.entry("a", "a.test", 80, "HTTP") + rule("v", spec)
        ).compile()
        let names = configuration.table("80")?.host("a.test:80")?.routes.compactMap { $0.forward?.clusters.first?.name }
        #expect(names == ["outbound|80|v1|a.test", "outbound|80||gone.default.svc.cluster.local"])
        for name in names ?? [] { #expect(configuration.cluster(name) == nil) }
        #expect(diagnostics.count == 2 && diagnostics.allSatisfy { $0.severity == .warning })
    }
}
