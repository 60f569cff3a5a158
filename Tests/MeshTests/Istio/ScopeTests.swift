import Manifests
import NetworkAddresses
import ProxyModel
import Testing

@Suite("What a sidecar sees")
struct ScopeTests {
    private func isKnown(_ host: String, _ fixture: IstioFixture) -> Bool {
        fixture.configuration.cluster("outbound|80||\(host)") != nil
    }

    private func sidecar(_ spec: String, namespace: String = "default") -> String {
        """
        apiVersion: networking.istio.io/v1
        kind: Sidecar
        metadata: {name: s, namespace: \(namespace)}
        spec: \(spec)
        ---

        """
    }

    @Test(
        "exportTo decides who sees a ServiceEntry",
        arguments: [("*", true), (".", false), ("~", false), ("default", true), ("third", false)])
    func exportTo(value: String, isSeen: Bool) {
        let entry = Manifest.entry(
            "a", "a.test", 80, "HTTP", namespace: "other", extra: "exportTo: [\"\(value)\"]")
        #expect(isKnown("a.test", IstioFixture(entry)) == isSeen)
    }

    @Test(
        "A Sidecar's egress hosts limit the scope",
        arguments: [
            ("*/*", true, true), ("./*", true, false), ("other/*", false, true), ("*/a.test", true, false),
            ("*/*.test", true, true), ("~/*", false, false),
        ])
    func egressHosts(hosts: String, seesA: Bool, seesB: Bool) {
        let manifests =
            Manifest.entry("a", "a.test", 80, "HTTP")
            + Manifest.entry("b", "b.test", 80, "HTTP", namespace: "other")
            + sidecar("{egress: [{hosts: [\"\(hosts)\"]}]}")
        let fixture = IstioFixture(manifests)
        #expect(isKnown("a.test", fixture) == seesA && isKnown("b.test", fixture) == seesB)
    }

    @Test("A Sidecar with a matching selector precedes the namespace's, which precedes the root namespace's")
    func whichSidecar() {
        let root = sidecar("{egress: [{hosts: [\"*/root.test\"]}]}", namespace: "istio-system")
        let own = sidecar("{egress: [{hosts: [\"*/own.test\"]}]}")
        let selected = sidecar(
            "{workloadSelector: {labels: {app: sleep}}, egress: [{hosts: [\"*/pod.test\"]}]}"
        ).replacing("name: s", with: "name: t")
        let entries = ["root", "own", "pod"].map { Manifest.entry($0, "\($0).test", 80, "HTTP") }.joined()
        #expect(isKnown("root.test", IstioFixture(entries + root)))
        #expect(isKnown("own.test", IstioFixture(entries + root + own)))
        #expect(isKnown("pod.test", IstioFixture(entries + root + own + selected)))
        #expect(!isKnown("own.test", IstioFixture(entries + root + own + selected)))
    }

    @Test("Destinations of imported VirtualServices bring clusters, not hosts")
    func importedDestinations() {
        let manifests =
            Manifest.entry("a", "a.test", 80, "HTTP") + Manifest.entry("b", "b.test", 80, "HTTP", namespace: "other")
            + sidecar("{egress: [{hosts: [\"./*\"]}]}") + """
                apiVersion: networking.istio.io/v1
                kind: VirtualService
                metadata: {name: v}
                spec: {hosts: [a.test], http: [{route: [{destination: {host: b.test}}]}]}
                """
        let configuration = IstioFixture(manifests).configuration
        #expect(configuration.cluster("outbound|80||b.test") != nil)
        #expect(configuration.table("80")?.virtualHosts.map(\.name) == ["a.test:80", "allow_any"])
    }

    @Test("The pod's own namespace wins when several declare a host")
    func sameHost() {
        let manifests =
            Manifest.entry("a", "a.test", 80, "HTTP", namespace: "other")
            + Manifest.entry("b", "a.test", 80, "HTTP", resolution: "NONE")
        let configuration = IstioFixture(manifests).configuration
        #expect(configuration.cluster("outbound|80||a.test")?.discovery == .originalDestination)
    }

    @Test("A subset declared in another client namespace does not exist")
    func destinationRuleNamespaces() {
        func rule(_ namespace: String) -> String {
            """
            apiVersion: networking.istio.io/v1
            kind: DestinationRule
            metadata: {name: r, namespace: \(namespace)}
            spec: {host: a.test, subsets: [{name: \(namespace)}]}
            ---

            """
        }
        let entry = Manifest.entry("a", "a.test", 80, "HTTP", namespace: "svc")
        let all = rule("default") + rule("svc") + rule("istio-system")
        func subsets(_ client: String) -> [String] {
            IstioFixture(entry + all, namespace: client).configuration.clusters.map(\.name).filter {
                $0.hasSuffix("a.test")
            }
        }
        #expect(subsets("default") == ["outbound|80||a.test", "outbound|80|default|a.test"])
        #expect(subsets("elsewhere") == ["outbound|80||a.test", "outbound|80|svc|a.test"])
        #expect(subsets("istio-system") == ["outbound|80||a.test", "outbound|80|svc|a.test"])
    }
}
