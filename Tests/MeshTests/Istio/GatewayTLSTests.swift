import Manifests
import Mesh
import ProxyModel
import Testing

@Suite("TLS of gateways and of the mesh")
struct GatewayTLSTests {
    private typealias Fixture = GatewayFixture

    private static let gatewayHost = "istio-egressgateway.istio-system.svc.cluster.local"
    private typealias Credentials = TestCredentials
    private static let whole = [
        "tls.crt": Credentials.chain, "tls.key": Credentials.key, "ca.crt": Credentials.chain,
    ]
    private static let secret = Credentials.secret("site", whole)

    private static func context(_ mode: String, _ tls: String = "credentialName: site") throws -> DownstreamTLSContext?
    {
        let server = Fixture.server(443, "HTTPS", "a.example", mode: mode, tls: mode == "ISTIO_MUTUAL" ? "" : tls)
        let fixture = try Fixture(Fixture.gateway(server) + secret)
        return fixture.gateway.listener("0.0.0.0_8443")?.filterChains.first?.transportSocket
    }

    @Test("SIMPLE shows its secret and asks for nothing")
    func simple() throws {
        let context = try #require(try Self.context("SIMPLE"))
        #expect(context.tlsCertificate == "kubernetes://site")
        #expect(!context.requireClientCertificate && context.validation == nil)
        #expect(context.minimumVersion == .tls12 && context.maximumVersion == .tls13)
    }

    @Test("MUTUAL demands a certificate of the secret's roots; OPTIONAL_MUTUAL checks one that is there")
    func mutual() throws {
        let mutual = try #require(try Self.context("MUTUAL", "credentialName: site, subjectAltNames: [client.example]"))
        #expect(mutual.requireClientCertificate)
        #expect(mutual.validation?.trustedCA == "kubernetes://site-cacert")
        #expect(mutual.validation?.subjectAltNames == [.exact("client.example")])
        let optional = try #require(try Self.context("OPTIONAL_MUTUAL"))
        #expect(!optional.requireClientCertificate && optional.validation?.trustedCA == "kubernetes://site-cacert")
    }

    @Test("ISTIO_MUTUAL uses the mesh's certificates on both sides")
    func istioMutual() throws {
        let context = try #require(try Self.context("ISTIO_MUTUAL"))
        #expect(context.tlsCertificate == ProxySecret.workloadIdentity && context.requireClientCertificate)
        #expect(context.validation?.trustedCA == ProxySecret.meshRoots)
    }

    @Test("Versions are those that the server says, and never below 1.2")
    func versions() throws {
        let low = try #require(try Self.context("SIMPLE", "credentialName: site, minProtocolVersion: TLSV1_0"))
        #expect(low.minimumVersion == .tls12)
        let narrow = try #require(
            try Self.context("SIMPLE", "credentialName: site, minProtocolVersion: TLSV1_2, maxProtocolVersion: TLSV1_2")
        )
        #expect(narrow.maximumVersion == .tls12)
        let new = try #require(try Self.context("SIMPLE", "credentialName: site, minProtocolVersion: TLSV1_3"))
        #expect(new.minimumVersion == .tls13)
    }

    @Test("A Secret that a DestinationRule names and that the proxy's namespace lacks is told where it is named")
    func missingSecret() throws {
        let rule = """
            apiVersion: networking.istio.io/v1
            kind: DestinationRule
            metadata: {name: out, namespace: istio-system}
            spec:
              host: edition.cnn.com
              trafficPolicy: {tls: {mode: MUTUAL, credentialName: client}}
            ---

            """
        func told(_ more: String) throws -> [Diagnostic] {
            try Fixture(rule + Fixture.cnn + more).diagnostics.filter { $0.message.contains("istio-system/client") }
        }
        let missing = try told("")
        #expect(missing.map(\.severity) == [.warning] && missing.allSatisfy { $0.location?.line != nil })
        #expect(missing.first?.message.hasPrefix("there is no Secret istio-system/client") == true)
        // Connections need its roots, too.
        let withoutRoots = try told(Credentials.secret("client", Self.whole.filter { $0.key != "ca.crt" }))
        #expect(withoutRoots.count == 1 && withoutRoots.first?.message.contains(") has no ca.crt") == true)
        #expect(try told(Credentials.secret("client", Self.whole)).isEmpty)
    }

    @Test(
        "A Secret that Istio would not send, or Envoy not take, is told where a Gateway names it, and is not there",
        arguments: [
            ([:], "has no tls.crt and tls.key", true),
            (["tls.crt": Credentials.chain], "has no tls.key", true),
            (["tls.crt": Credentials.chain, "tls.key": ""], "has no tls.key", true),
            // Of the older form: both or none.
            (["cert": Credentials.chain, "tls.key": Credentials.key], "has no tls.crt", true),
            (["tls.crt": "x", "tls.key": Credentials.key], "is no certificate in PEM", true),
            (["tls.crt": Credentials.chain, "tls.key": "x"], "is no private key in PEM", true),
            (
                ["tls.crt": Credentials.chain, "tls.key": Credentials.otherKey], "is not the key of the certificate",
                true
            ),
            (["tls.crt": Credentials.expiredChain, "tls.key": Credentials.expiredKey], "has expired", true),
            (["tls.crt": Credentials.lateChain, "tls.key": Credentials.lateKey], "is not valid yet", true),
            (["ca.crt": "x"], "ca.crt of Secret istio-system/site", false),
            (["ca.crt": Credentials.expiredChain], "has expired", false),
        ] as [([String: String], String, Bool)])
    func unusable(values: [String: String], problem: String, isOfCertificate: Bool) throws {
        let values =
            isOfCertificate
            ? values.merging(["ca.crt": Credentials.chain]) { own, _ in own }
            : Self.whole.merging(values) { _, own in own }
        let server = Fixture.server(443, "HTTPS", "a.example", mode: "MUTUAL", tls: "credentialName: site")
        let fixture = try Fixture(Fixture.gateway(server) + Credentials.secret("site", values))
        let told = fixture.diagnostics.filter { $0.message.contains("Secret istio-system/site") }
        #expect(told.map(\.severity) == [.warning] && told.allSatisfy { $0.location?.file == "test.yaml" })
        #expect(told.first?.message.contains(problem) == true, "\(told.map(\.message))")
        #expect(told.first?.message.contains("refuses every connection to port 443") == true)
        let name = isOfCertificate ? "kubernetes://site" : "kubernetes://site-cacert"
        let other = isOfCertificate ? "kubernetes://site-cacert" : "kubernetes://site"
        #expect(fixture.gateway.secret(named: name) == nil && fixture.gateway.secret(named: other) != nil)
    }

    @Test("The older names of keys count before the newer, and roots of their own Secret before the others")
    func olderNames() throws {
        let server = Fixture.server(443, "HTTPS", "a.example", mode: "MUTUAL", tls: "credentialName: site")
        let older = ["cert": Credentials.expiredChain, "key": Credentials.expiredKey]
        let both = try Fixture(
            Fixture.gateway(server) + Credentials.secret("site", Self.whole.merging(older) { _, own in own }))
        #expect(both.gateway.secret(named: "kubernetes://site") == nil)
        // A Secret of the roots' name that has none hides those of the other.
        let hidden = try Fixture(
            Fixture.gateway(server) + Self.secret + Credentials.secret("site-cacert", ["roots.pem": "x"]))
        #expect(hidden.gateway.secret(named: "kubernetes://site-cacert") == nil)
        #expect(hidden.warnings.contains { $0.contains("Secret istio-system/site-cacert") && $0.contains("no ca.crt") })
    }

    @Test("The gateway gets the secrets beside it, and their roots")
    func secrets() throws {
        let server = Fixture.server(443, "HTTPS", "a.example", mode: "MUTUAL", tls: "credentialName: site")
        let fixture = try Fixture(Fixture.gateway(server) + Self.secret)
        #expect(
            fixture.gateway.secret(named: "kubernetes://site")?.content
                == .tlsCertificate(chain: Credentials.chain, key: Credentials.key))
        #expect(fixture.gateway.secret(named: "kubernetes://site-cacert")?.content == .validation(Credentials.chain))
        let absent = try Fixture(Fixture.gateway(server))
        #expect(absent.gateway.secret(named: "kubernetes://site") == nil)
    }

    // MARK: To endpoints

    private static func rule(_ host: String, _ policy: String, namespace: String = "default") -> String {
        """
        apiVersion: networking.istio.io/v1
        kind: DestinationRule
        metadata: {name: rule, namespace: \(namespace)}
        spec: {host: \(host), trafficPolicy: \(policy)}
        ---

        """
    }

    private static func cluster(_ policy: String, port: UInt16 = 443) throws -> ProxyModel.Cluster {
        let fixture = try Fixture(rule("edition.cnn.com", policy) + Fixture.cnn)
        return try #require(fixture.client.cluster("outbound|\(port)||edition.cnn.com"))
    }

    @Test("What is outside the mesh gets its bytes unchanged, unless a DestinationRule says more")
    func modes() throws {
        #expect(try Self.cluster("{connectionPool: {tcp: {connectTimeout: 5s}}}").transportSocket == nil)
        #expect(try Self.cluster("{tls: {mode: DISABLE}}").transportSocket == nil)
        let simple = try #require(
            try Self.cluster("{portLevelSettings: [{port: {number: 80}, tls: {mode: SIMPLE}}]}", port: 80)
                .transportSocket)
        #expect(simple.autoServerName && simple.autoSANValidation && simple.serverName == nil)
        #expect(simple.validation?.trustedCA == ProxySecret.systemRoots && simple.tlsCertificate == nil)
        let named = try #require(
            try Self.cluster("{tls: {mode: SIMPLE, sni: x.example, subjectAltNames: [y.example]}}").transportSocket)
        #expect(named.serverName == "x.example" && !named.autoServerName && !named.autoSANValidation)
        #expect(named.validation?.subjectAltNames == [.exact("y.example")])
    }

    @Test("A credentialName counts at a gateway, and not at a sidecar without workloadSelector")
    func credentials() throws {
        let fixture = try Fixture(
            Self.rule("edition.cnn.com", "{tls: {mode: SIMPLE, credentialName: site}}") + Self.secret + Fixture.cnn
                + Fixture.gateway(Fixture.server(443, "TLS", "edition.cnn.com", mode: "PASSTHROUGH")))
        let name = "outbound|443||edition.cnn.com"
        #expect(fixture.gateway.cluster(name)?.transportSocket?.validation?.trustedCA == "kubernetes://site-cacert")
        #expect(fixture.client.cluster(name)?.transportSocket == nil)
        #expect(fixture.warnings.contains { $0.contains("stay plaintext") })
    }

    @Test("Sidecars speak plaintext to the classic gateway, and mutual TLS to one with the mesh's label")
    func toGateway() throws {
        let name = "outbound|443||\(Self.gatewayHost)"
        let plain = try #require(try Fixture("").client.cluster(name))
        #expect(plain.transportSocket == nil && plain.transportSocketMatches == nil)
        let installation = Fixture.install(podLabels: "{security.istio.io/tlsMode: istio}")
        let labelled = try #require(try Fixture("", installation: installation).client.cluster(name))
        let match = try #require(labelled.transportSocketMatches?.first)
        #expect(match.match == ["tlsMode": "istio"])
        #expect(match.context?.serverName == "outbound_.443_._.\(Self.gatewayHost)")
        #expect(
            match.context?.validation?.subjectAltNames == [
                .exact("spiffe://cluster.local/ns/istio-system/sa/istio-egressgateway-service-account")
            ])
    }

    @Test("ISTIO_MUTUAL of a subset's port says the SNI that the rule gives, and expects the gateway's account")
    func subset() throws {
        let rule = """
            apiVersion: networking.istio.io/v1
            kind: DestinationRule
            metadata: {name: gateway}
            spec:
              host: \(Self.gatewayHost)
              subsets:
                - name: cnn
                  trafficPolicy: {portLevelSettings: [{port: {number: 443}, tls: {mode: ISTIO_MUTUAL, sni: edition.cnn.com}}]}
            """
        let client = try Fixture(rule).client
        let context = try #require(client.cluster("outbound|443|cnn|\(Self.gatewayHost)")?.transportSocket)
        #expect(context.serverName == "edition.cnn.com" && context.tlsCertificate == ProxySecret.workloadIdentity)
        #expect(client.cluster("outbound|80|cnn|\(Self.gatewayHost)")?.transportSocket == nil)
        #expect(client.cluster("outbound|443||\(Self.gatewayHost)")?.transportSocket == nil)
    }

    @Test("A subset exists for clients of its DestinationRule's namespace and of the root's")
    func subsetScope() throws {
        func hasSubset(_ namespace: String) throws -> Bool {
            let rule = """
                apiVersion: networking.istio.io/v1
                kind: DestinationRule
                metadata: {name: gateway, namespace: \(namespace)}
                spec: {host: \(Self.gatewayHost), subsets: [{name: cnn}]}
                """
            return try Fixture(rule).client.cluster("outbound|80|cnn|\(Self.gatewayHost)") != nil
        }
        #expect(try hasSubset("default"))
        #expect(try hasSubset("istio-system"))
        #expect(try !hasSubset("elsewhere"))
    }

    // MARK: PeerAuthentication

    private static let web =
        KubernetesFixture.pod("web", labels: "{app: web}", ports: "[{containerPort: 8080}, {containerPort: 9090}]")
            + """
            apiVersion: v1
            kind: Service
            metadata: {name: web}
            spec: {selector: {app: web}, ports: [{name: tcp, port: 8080}, {name: tcp-two, port: 9090}]}
            ---

            """

    private static func peers(_ namespace: String, _ spec: String, name: String = "peers") -> String {
        """
        apiVersion: security.istio.io/v1
        kind: PeerAuthentication
        metadata: {name: \(name), namespace: \(namespace)}
        spec: \(spec)
        ---

        """
    }

    /// For each port: `tls`, `plain` or both.
    private static func accepted(_ rules: String) -> [String] {
        var fixture = KubernetesFixture(
            KubernetesFixture.namespace("default", "{istio-injection: enabled}") + web + rules)
        let (plan, _) = fixture.planAndDiagnose()
        let chains = plan.pod("web")?.proxy?.listener("virtualInbound")?.filterChains ?? []
        return ([8080, 9090] as [UInt16]).map { port in
            let own = chains.filter { $0.match.destinationPort == port }
            let takesTLS = own.contains { $0.transportSocket != nil }
            let takesPlain = own.contains { $0.transportSocket == nil }
            return (takesTLS ? ["tls"] : []).joined() + (takesPlain ? "plain" : "")
        }
    }

    @Test(
        "Port over workload over namespace over mesh; PERMISSIVE where nobody says anything",
        arguments: [
            ([], ["tlsplain", "tlsplain"]),
            ([("istio-system", "{mtls: {mode: STRICT}}")], ["tls", "tls"]),
            ([("elsewhere", "{mtls: {mode: STRICT}}")], ["tlsplain", "tlsplain"]),
            (
                [("istio-system", "{mtls: {mode: STRICT}}"), ("default", "{mtls: {mode: DISABLE}}")],
                ["plain", "plain"]
            ),
            (
                [
                    ("default", "{mtls: {mode: DISABLE}}"),
                    ("default", "{selector: {matchLabels: {app: web}}, mtls: {mode: STRICT}}"),
                ], ["tls", "tls"]
            ),
            (
                [
                    (
                        "default",
                        "{selector: {matchLabels: {app: web}}, mtls: {mode: STRICT}, portLevelMtls: {9090: {mode: DISABLE}}}"
                    )
                ], ["tls", "plain"]
            ),
            ([("default", "{selector: {matchLabels: {app: other}}, mtls: {mode: STRICT}}")], ["tlsplain", "tlsplain"]),
        ] as [([(String, String)], [String])])
    func precedence(rules: [(String, String)], expected: [String]) {
        let manifests = rules.enumerated().map { Self.peers($1.0, $1.1, name: "peers-\($0)") }.joined()
        #expect(Self.accepted(manifests) == expected)
    }

    @Test("PeerAuthentication is nothing to a gateway's listeners")
    func gatewayListeners() throws {
        let fixture = try Fixture(
            Self.peers("istio-system", "{mtls: {mode: STRICT}}")
                + Fixture.gateway(Fixture.server(80, "HTTP", "a.example")))
        #expect(fixture.gateway.listener("0.0.0.0_8080")?.filterChains.allSatisfy { $0.transportSocket == nil } == true)
    }

    @Test("Sidecars speak mutual TLS to pods with a sidecar, and plaintext to those without")
    func autoMutual() throws {
        let fixture = try Fixture(
            Self.web
                + KubernetesFixture.pod(
                    "old", labels: "{app: web}", annotations: "{sidecar.istio.io/inject: \"false\"}"))
        let cluster = try #require(fixture.client.cluster("outbound|8080||web.default.svc.cluster.local"))
        let modes = cluster.endpoints.map { $0.metadata?["tlsMode"] ?? "plain" }
        #expect(Set(modes) == ["istio", "plain"])
        var mesh = MeshConfig()
        mesh.enableAutoMtls = false
        let off = try Fixture(Self.web, mesh: mesh)
        #expect(off.client.cluster("outbound|8080||web.default.svc.cluster.local")?.transportSocketMatches == nil)
    }
}
