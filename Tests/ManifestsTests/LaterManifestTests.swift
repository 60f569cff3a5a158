import Testing

@testable import Manifests

@Suite("Manifests whose meaning comes later are read whole, and refused for a run where they stand")
struct LaterManifestTests {
    @Test(
        "Every field has its typed place, and nothing but unsupported fields is told",
        arguments: Fixtures.names(in: "later"))
    func fixture(name: String) {
        let result = ManifestReader.read(paths: ["later/\(name).yaml"], relativeTo: Fixtures.directory)
        #expect(result.diagnostics.allSatisfy { $0.severity < .error }, "\(result.diagnostics)")
        var text = ""
        for resource in result.value {
            text += "\(resource.id)\n" + Outline.of(resource)
        }
        Fixtures.expect(text, equals: "later/\(name).outline")
        Fixtures.expect(result.diagnostics.map { "\($0)\n" }.joined(), equals: "later/\(name).diagnostics")
    }

    @Test("A kind or a field is let through by deleting its line, and by nothing else")
    func oneList() {
        let text = """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: a}
            spec:
              hosts: [a.example]
              gateways: [mesh]
              http: [{timeout: 1s, retries: {attempts: 1}, route: [{destination: {host: a.example}}]}]
              tcp: []
            """
        #expect(ManifestReader.read(text: text, file: "x").diagnostics.isEmpty)
        let redirected = text.replacing("timeout: 1s", with: "redirect: null, timeout: 1s")
        #expect(ManifestReader.read(text: redirected, file: "x").diagnostics.isEmpty)
        for (kind, fields) in UnsupportedFields.byKind {
            #expect(Set(fields.map { "\($0.path) \($0.condition)" }).count == fields.count, "\(kind) repeats a line")
            let known = ResourceKinds.byName[kind] != nil || ["MeshConfig", "ProxyConfig", "Scenario"].contains(kind)
            #expect(known, "\(kind) is read nowhere")
        }
    }

    @Test("The snake case spelling of a field is refused like its own")
    func snakeCase() {
        let text = """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: a}
            spec:
              hosts: [a.example]
              tls: [{match: [{sni_hosts: [a.example], source_subnet: 10.0.0.0/8}], route: [{destination: {host: a.example}}]}]
            """
        #expect(
            ManifestReader.read(text: text, file: "x").diagnostics.map(\.description) == [
                "x:6:43: unsupported: spec.tls[0].match[0].source_subnet of VirtualService is not supported yet"
            ])
    }
}

@Suite("What Istio installs")
struct GatewayComponentTests {
    private func gateways(_ spec: String) -> [GatewayComponent] {
        let text = "{apiVersion: install.istio.io/v1alpha1, kind: IstioOperator, spec: {\(spec)}}"
        let result = ManifestReader.read(text: text, file: "x.yaml")
        #expect(result.diagnostics.isEmpty, "\(result.diagnostics)")
        return (result.value.first as? IstioOperator)?.enabledGateways ?? []
    }

    @Test(
        "Profiles and components decide which gateways there are",
        arguments: [
            ("", []), ("profile: minimal", []), ("profile: default", ["istio-ingressgateway"]),
            ("profile: demo", ["istio-ingressgateway", "istio-egressgateway"]),
            (
                "profile: demo, components: {egressGateways: [{name: istio-egressgateway, enabled: false}]}",
                ["istio-ingressgateway"]
            ),
            ("components: {egressGateways: [{enabled: true}]}", ["istio-egressgateway"]),
            ("components: {egressGateways: [{name: a, enabled: true}, {name: b}]}", ["a"]),
            ("values: {gateways: {enabled: true, c: {enabled: true}, d: {}}}", ["c"]),
            ("values: {gateways.istio-egressgateway.enabled: true}", []),
        ] as [(String, [String])])
    func profiles(spec: String, names: [String]) {
        #expect(gateways(spec).map(\.name) == names)
    }

    @Test("The classic chart's names, labels and ports hold where nothing else is said")
    func defaults() throws {
        let gateway = try #require(gateways("profile: demo").last)
        #expect(gateway.serviceAccountName == "istio-egressgateway-service-account")
        #expect(gateway.effectiveLabels == ["app": "istio-egressgateway", "istio": "egressgateway"])
        #expect(
            gateway.effectivePorts.map { "\($0.name) \($0.number) \($0.targetPort)" } == [
                "http2 80 8080", "https 443 8443",
            ])
        #expect(gateway.namespace == nil && gateway.direction == .egress)
    }

    @Test("Chart values say more of a component, everywhere it is installed")
    func overlay() {
        let found = gateways(
            """
            components: {egressGateways: [{name: a, enabled: true, label: {team: edge}}, {name: a, namespace: other, enabled: true}]},
            values: {gateways: {a: {ports: [{port: 443, name: tls}], nodeSelector: {role: egress}}}}
            """)
        #expect(found.map(\.namespace) == [nil, "other"])
        #expect(found.allSatisfy { $0.effectivePorts == [.init(name: "tls", number: 443)] })
        #expect(found.allSatisfy { $0.nodeSelector == ["role": "egress"] })
        #expect(found.first?.effectiveLabels == ["team": "edge"])
    }

    @Test("All operators of a cluster install, in their root namespaces")
    func installed() {
        var set = ResourceSet()
        let text = """
            apiVersion: install.istio.io/v1alpha1
            kind: IstioOperator
            metadata: {name: a}
            spec: {profile: demo, meshConfig: {rootNamespace: mesh}}
            ---
            apiVersion: install.istio.io/v1alpha1
            kind: IstioOperator
            metadata: {name: b}
            spec: {components: {egressGateways: [{name: c, namespace: edge, enabled: true}]}}
            """
        ManifestReader.read(text: text, file: "x").value.forEach { set.apply($0) }
        #expect(
            installedGateways(of: set).map { "\($0.namespace)/\($0.component.name)" } == [
                "mesh/istio-ingressgateway", "mesh/istio-egressgateway", "edge/c",
            ])
    }
}

@Suite("Small values")
struct SmallValueTests {
    @Test(
        "Base64 is decoded, and nothing else is",
        arguments: [
            ("", ""), ("aA==", "h"), ("aGU=", "he"), ("aGVs", "hel"), ("aGVs\nbG8=\n", "hello"), ("aGVsbG8", nil),
            ("a", nil), ("aA=", nil), ("a*==", nil), ("aA==aA==", nil), ("=", nil),
        ] as [(String, String?)])
    func base64(text: String, expected: String?) {
        #expect(Base64.decode(text).map { String(decoding: $0, as: UTF8.self) } == expected)
    }

    @Test("A port's settings replace the policy they stand in; a subset's replace the rule's block by block")
    func effectivePolicy() throws {
        let text = """
            apiVersion: networking.istio.io/v1
            kind: DestinationRule
            metadata: {name: a}
            spec:
              host: a.example
              trafficPolicy:
                connectionPool: {tcp: {connectTimeout: 1s}}
                tls: {mode: SIMPLE}
                portLevelSettings: [{port: {number: 80}, tls: {mode: DISABLE}}]
              subsets:
                - {name: one, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}
                - name: two
                  trafficPolicy:
                    portLevelSettings: [{port: {number: 443}, loadBalancer: {simple: RANDOM}}]
            """
        let rule = try #require(ManifestReader.read(text: text, file: "x").value.first as? DestinationRule)
        func effective(_ subset: Int?, _ port: UInt16) -> String {
            let policy = TrafficPolicy.effective(
                rule: rule.trafficPolicy, subset: subset.flatMap { rule.subsets[$0].trafficPolicy }, port: port)
            let parts = [
                policy?.tls?.mode.value.rawValue, policy?.connectionPool?.connectTimeoutMs.map(String.init),
                policy?.loadBalancer.flatMap {
                    if case .simple(let choice) = $0.value { choice.rawValue } else { nil }
                },
            ]
            return parts.map { $0 ?? "-" }.joined(separator: " ")
        }
        #expect(effective(nil, 443) == "SIMPLE 1000 -")
        #expect(effective(nil, 80) == "DISABLE - -")
        #expect(effective(0, 443) == "ISTIO_MUTUAL 1000 -")
        #expect(effective(0, 80) == "ISTIO_MUTUAL - -")
        #expect(effective(1, 443) == "- - RANDOM")
        #expect(effective(1, 80) == "DISABLE - -")
        #expect(TrafficPolicy.effective(rule: nil, subset: nil, port: 80) == nil)
    }

    @Test(
        "An image's stand-in is found by container, image, or image without registry and tag",
        arguments: [
            ("nginx", "web", "docker.io/library/nginx:1.27", true),
            ("nginx:1.27", "web", "docker.io/library/nginx:1.27", true),
            ("docker.io/library/nginx", "web", "docker.io/library/nginx:1.27", true),
            ("nginx", "web", "localhost:5000/nginx@sha256:00", true),
            ("sni-proxy", "sni-proxy", "nginx", true),
            ("nginx", "web", "nginx-unit", false),
            ("nginx", "web", "", false),
        ])
    func standIns(name: String, container: String, image: String, expected: Bool) {
        let location = SourceLocation(file: "x")
        let standIn = ImageStandIn(name: name, program: .bundled(.sniProxy), location: location)
        #expect(standIn.stands(for: Container(name: container, image: image, location: location)) == expected)
    }
}
