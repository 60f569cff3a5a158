import Manifests
import Mesh
import NetworkAddresses
import ProxyModel
import Testing

@Suite("AuthorizationPolicies become RBAC filters as Istio makes them")
struct AuthorizationPassTests {
    private static let servers =
        GatewayFixture.cnn
        + GatewayFixture.gateway(
            GatewayFixture.server(80, "HTTP", "edition.cnn.com") + ", "
                + GatewayFixture.server(443, "TLS", "edition.cnn.com", mode: "PASSTHROUGH"))
        + GatewayFixture.virtualService(
            "edition.cnn.com",
            "http: [\(GatewayFixture.http("edition.cnn.com"))], tls: "
                + "[\(GatewayFixture.tls("edition.cnn.com", "edition.cnn.com"))]")

    private static func policy(
        _ name: String, _ spec: String, namespace: String = "istio-system", annotations: String = "{}"
    ) -> String {
        """
        apiVersion: security.istio.io/v1
        kind: AuthorizationPolicy
        metadata: {name: \(name), namespace: \(namespace), annotations: \(annotations)}
        spec: \(spec)
        ---

        """
    }

    private static func requestFilters(_ fixture: GatewayFixture) throws -> [RBAC] {
        let listener = try #require(fixture.gateway.listener("0.0.0.0_8080"))
        return (listener.filterChains[0].manager?.httpFilters ?? []).compactMap {
            if case .rbac(let rbac) = $0 { rbac } else { nil }
        }
    }

    private static func connectionFilters(_ fixture: GatewayFixture) throws -> [RBAC] {
        let listener = try #require(fixture.gateway.listener("0.0.0.0_8443"))
        return listener.filterChains[0].authorization ?? []
    }

    /// What one rule comes to at the gateway's HTTP port.
    private static func compiled(_ rule: String, configure: (inout MeshConfig) -> Void = { _ in }) throws -> RBACPolicy
    {
        var mesh = MeshConfig()
        configure(&mesh)
        let fixture = try GatewayFixture(servers + policy("p", "{rules: [\(rule)]}"), mesh: mesh)
        let rules = try #require(try requestFilters(fixture).first?.rules)
        return try #require(rules.policies.first)
    }

    @Test("Each field of an operation and each condition of it is a permission, values by or, fields by and")
    func permissions() throws {
        let policy = try Self.compiled(
            """
            {to: [{operation: {hosts: [a.org, "*.b.org"], methods: [GET], notPaths: ["/x*"], ports: ["8080"]}}], \
            when: [{key: connection.sni, values: ["*"]}, {key: destination.ip, notValues: [10.0.0.0/8]}]}
            """)
        #expect(policy.name == "ns[istio-system]-policy[p]-rule[0]")
        let block = try #require(IPPrefix("10.0.0.0/8"))
        #expect(
            policy.permissions == [
                .and([
                    .or([
                        .header(RBACHeaderMatch(name: ":authority", match: .exact("a.org"), ignoresCase: true)),
                        .header(RBACHeaderMatch(name: ":authority", match: .suffix(".b.org"), ignoresCase: true)),
                    ]),
                    .or([.header(RBACHeaderMatch(name: ":method", match: .exact("GET")))]),
                    .not(.or([.urlPath(.prefix("/x"))])), .or([.destinationPort(8080)]),
                    .or([.requestedServerName(.regex(".+"))]), .not(.or([.destinationIP(block)])),
                ])
            ])
        #expect(policy.principals == [.and([.any])])
    }

    @Test("Each field of a source and each condition on it is a principal; several sources are alternatives")
    func principals() throws {
        let policy = try Self.compiled(
            """
            {from: [{source: {principals: [cluster.local/ns/a/sa/b, "*/sa/c"], namespaces: ["a*"]}}, \
            {source: {serviceAccounts: [x], notIpBlocks: [192.0.2.1]}}], \
            when: [{key: "request.headers[X-Token]", values: ["*"]}]}
            """)
        let header = RBACPrincipal.or([.header(RBACHeaderMatch(name: "x-token", match: .present))])
        let address = try #require(IPPrefix("192.0.2.1"))
        #expect(
            policy.principals == [
                .and([
                    .or([
                        .authenticated(.exact("spiffe://cluster.local/ns/a/sa/b")),
                        .authenticated(.regex("spiffe://.*/sa/c")),
                    ]), .or([.authenticated(.regex(".*/ns/a.*/.*"))]), header,
                ]),
                .and([
                    .or([.authenticated(.regex("spiffe://.+/ns/istio-system/(.+/|)sa/x(/.+)?"))]),
                    .not(.or([.directRemoteIP(address)])), header,
                ]),
            ])
        #expect(policy.permissions == [.and([.any])])
    }

    @Test("A principal of the mesh's trust domain is one of its aliases, too")
    func aliases() throws {
        let policy = try Self.compiled("{from: [{source: {principals: [cluster.local/ns/a/sa/b]}}]}") {
            $0.trustDomain = "td1"
            $0.trustDomainAliases = ["cluster.local"]
        }
        #expect(
            policy.principals == [
                .and([
                    .or([
                        .authenticated(.exact("spiffe://td1/ns/a/sa/b")),
                        .authenticated(.exact("spiffe://cluster.local/ns/a/sa/b")),
                    ])
                ])
            ])
    }

    @Test("Path templates are Envoy's, everything else a text of Istio's forms")
    func paths() throws {
        let policy = try Self.compiled(#"{to: [{operation: {paths: ["/a/{*}/b/{**}", "*.html", "*", /c]}}]}"#)
        #expect(
            policy.permissions == [
                .and([
                    .or([
                        .uriTemplate("/a/*/b/**"), .urlPath(.suffix(".html")), .urlPath(.regex(".+")),
                        .urlPath(.exact("/c")),
                    ])
                ])
            ])
    }

    @Test("Audit comes first, then deny, then allow; dry runs are shadow rules of their action")
    func order() throws {
        let fixture = try GatewayFixture(
            Self.servers + Self.policy("allow", "{rules: [{}]}")
                + Self.policy("try", "{rules: [{}]}", annotations: #"{istio.io/dry-run: "true"}"#)
                + Self.policy("deny", "{action: DENY, rules: [{}]}")
                + Self.policy("audit", "{action: AUDIT, rules: [{}]}"))
        let filters = try Self.requestFilters(fixture)
        #expect(filters.map(\.rules?.action) == [.log, .deny, .allow])
        #expect(filters.map(\.shadowRulesStatPrefix) == ["", "", "istio_dry_run_allow_"])
        #expect(filters[2].rules?.policies.map(\.name) == ["ns[istio-system]-policy[allow]-rule[0]"])
        #expect(filters[2].shadowRules?.policies.map(\.name) == ["ns[istio-system]-policy[try]-rule[0]"])
    }

    @Test("A policy without rules has one that never matches")
    func nothing() throws {
        let fixture = try GatewayFixture(Self.servers + Self.policy("nothing", "{}"))
        let rules = try #require(try Self.requestFilters(fixture).first?.rules)
        #expect(rules.action == .allow)
        #expect(rules.policies.map(\.permissions) == [[.not(.any)]])
        #expect(rules.origin?.hasPrefix("AuthorizationPolicy istio-system/nothing, ") == true)
    }

    @Test("Where there is no HTTP, an ALLOW loses the whole rule and a DENY only the field, and both are told")
    func bytes() throws {
        let fixture = try GatewayFixture(
            Self.servers
                + Self.policy("allow", "{rules: [{to: [{operation: {methods: [GET]}}]}]}")
                + Self.policy(
                    "deny",
                    "{action: DENY, rules: [{from: [{source: {namespaces: [a]}}], to: [{operation: {hosts: [b.org]}}]}]}"
                ))
        let filters = try Self.connectionFilters(fixture)
        #expect(filters.map(\.rules?.action) == [.deny, .allow])
        #expect(filters[0].rules?.policies.map(\.permissions) == [[.and([.any])]])
        #expect(filters[0].rules?.policies.map(\.principals) == [[.and([.or([.authenticated(.regex(".*/ns/a/.*"))])])]])
        #expect(filters[1].rules?.policies == [])
        #expect(
            fixture.warnings.filter { $0.contains("don't speak HTTP") } == [
                "AuthorizationPolicy/istio-system/deny: on ports of istio-system/istio-egressgateway that don't speak "
                    + "HTTP this rule denies without looking at hosts",
                "AuthorizationPolicy/istio-system/allow: on ports of istio-system/istio-egressgateway that don't speak "
                    + "HTTP this rule allows nothing, because of methods",
            ])
    }

    @Test("The root namespace's policies are everybody's, others those of their namespace, by labels")
    func selection() throws {
        let fixture = try GatewayFixture(
            Self.servers + Self.policy("elsewhere", "{}", namespace: "default")
                + Self.policy("others", "{selector: {matchLabels: {istio: ingressgateway}}}")
                + Self.policy("mine", "{selector: {matchLabels: {istio: egressgateway}}, rules: [{}]}"))
        #expect(
            try Self.requestFilters(fixture).compactMap(\.rules).flatMap(\.policies).map(\.name) == [
                "ns[istio-system]-policy[mine]-rule[0]"
            ])
        let inbound = try #require(fixture.client.listener("virtualInbound"))
        #expect(
            inbound.defaultFilterChain?.authorization?.compactMap(\.rules).flatMap(\.policies).map(\.name) == [
                "ns[default]-policy[elsewhere]-rule[0]"
            ])
        #expect(fixture.client.listener("virtualOutbound")?.defaultFilterChain?.authorization == nil)
    }

    @Test("CUSTOM has shadow rules before the authorizer's filter; one that can't be asked denies")
    func custom() throws {
        let authorizer = Manifest.service("authz", 8000, "http", namespace: "foo")
        let config = """
            apiVersion: v1
            kind: ConfigMap
            metadata: {name: istio, namespace: istio-system}
            data:
              mesh: |-
                extensionProviders:
                - name: sample
                  envoyExtAuthzHttp: {service: foo/authz.foo.svc.cluster.local, port: 8000, failOpen: true}
            ---

            """
        let read = ManifestReader.read(text: config, file: "mesh.yaml")
        #expect(read.diagnostics.isEmpty)
        var resources = ResourceSet()
        read.value.forEach { resources.apply($0) }
        let (mesh, _) = meshConfig(of: resources)
        func filters(_ provider: String) throws -> [HTTPFilter] {
            let fixture = try GatewayFixture(
                Self.servers + authorizer
                    + Self.policy("ask", "{action: CUSTOM, provider: {name: \(provider)}, rules: [{}]}"), mesh: mesh)
            let listener = try #require(fixture.gateway.listener("0.0.0.0_8080"))
            return listener.filterChains[0].manager?.httpFilters ?? []
        }
        let asked = try filters("sample")
        try #require(asked.count == 2)
        guard case .rbac(let shadow) = asked[0], case .externalAuthorization(let filter) = asked[1] else {
            Issue.record("\(asked)")
            return
        }
        #expect(shadow.rules == nil)
        #expect(
            shadow.shadowRules?.policies.map(\.name) == ["istio-ext-authz-sample-ns[istio-system]-policy[ask]-rule[0]"])
        #expect(filter.cluster == "outbound|8000||authz.foo.svc.cluster.local")
        #expect(filter.failureModeAllow)
        guard case .rbac(let refusal)? = try filters("unknown").first else {
            Issue.record("no filter")
            return
        }
        #expect(refusal.rules?.action == .deny)
        #expect(refusal.rules?.policies.map { $0.name.hasSuffix("-deny-due-to-bad-CUSTOM-action") } == [true])
    }
}
