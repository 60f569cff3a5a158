import Testing

@testable import Manifests

@Suite("Right manifests are read without a word")
struct RightManifestTests {
    @Test("A user's own manifests give typed resources", arguments: Fixtures.names(in: "right"))
    func fixture(name: String) {
        let result = ManifestReader.read(paths: ["right/\(name).yaml"], relativeTo: Fixtures.directory)
        #expect(result.diagnostics.isEmpty, "\(result.diagnostics)")
        var text = ""
        for resource in result.value {
            text += "\(resource.id)\n" + Outline.of(resource)
        }
        Fixtures.expect(text, equals: "right/\(name).outline")
    }

    private func resources(_ text: String) -> [any Resource] {
        let result = ManifestReader.read(text: text, file: "x.yaml")
        #expect(result.diagnostics.isEmpty, "\(result.diagnostics)")
        return result.value
    }

    @Test("All served versions of Istio's kinds are read alike", arguments: ["v1", "v1beta1", "v1alpha3"])
    func versions(version: String) {
        let found = resources(
            """
            apiVersion: networking.istio.io/\(version)
            kind: ServiceEntry
            metadata: {name: a}
            spec: {hosts: [a.example], ports: [{number: 80, name: http, protocol: http}], resolution: DNS}
            """)
        let entry = found.first as? ServiceEntry
        #expect(entry?.ports.first?.protocol == .http)
        #expect(entry?.meshLocation == .meshExternal)
    }

    @Test("Files of Windows' editors are read: a byte order mark and CRLF are no content")
    func windows() {
        let lines = [
            "\u{feff}apiVersion: v1", "kind: Pod", "metadata:", "  name: a", "spec:", "  containers:", "  - name: c",
            "---",
            "",
        ]
        let found = resources(lines.joined(separator: "\r\n"))
        #expect(found.map(\.id.name) == ["a"])
        #expect(found.first?.metadata.location == SourceLocation(file: "x.yaml", line: 1, column: 1))
    }

    @Test(
        "An IstioOperator needs no metadata and no name, as istioctl takes it",
        arguments: ["", "metadata: {namespace: istio-system}"])
    func namelessOperator(metadata: String) {
        let found = resources(
            """
            apiVersion: install.istio.io/v1alpha1
            kind: IstioOperator
            \(metadata)
            spec: {meshConfig: {outboundTrafficPolicy: {mode: REGISTRY_ONLY}}}
            """)
        #expect(found.map(\.id.name) == ["installed-state"])
        #expect((found.first as? IstioOperator)?.meshConfig.outboundTrafficPolicy?.value == .registryOnly)
    }

    @Test("Lists are flattened, and their elements need not repeat their kind")
    func lists() {
        let found = resources(
            """
            {"apiVersion": "v1", "kind": "List", "items": [
            \t{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}},
            \t{"apiVersion": "v1", "kind": "ServiceAccountList", "items": [{"metadata": {"name": "b"}}]}]}
            """)
        #expect(found.map(\.id.description) == ["Namespace/a", "ServiceAccount/default/b"])
        #expect(found.first?.metadata.labels == ["kubernetes.io/metadata.name": "a"])
    }

    @Test("Anchors, aliases and merge keys are carried out")
    func merges() {
        let found = resources(
            """
            apiVersion: v1
            kind: ConfigMap
            metadata: {name: a, labels: &base {a: "1", b: "2"}}
            data:
              <<: *base
              b: "3"
            """)
        let data = (found.first as? ConfigMap)?.data.mapValues(\.value)
        #expect(data == ["a": "1", "b": "3"])
    }

    @Test("egress: [] isolates ingress only; an egress rule adds Egress; empty lists mean everything")
    func policyTypes() {
        let head = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a}\n"
        let policies = resources(
            [
                "spec: {podSelector: {}, egress: []}", "spec: {podSelector: {}, egress: [{to: [], ports: []}]}",
                "spec: {podSelector: {}, policyTypes: [Egress]}",
            ].map { head + $0 }.joined(separator: "\n---\n")
        ).compactMap { $0 as? NetworkPolicy }
        #expect(policies.map(\.policyTypes) == [[.ingress], [.ingress, .egress], [.egress]])
        #expect(policies[1].egress.first?.peers == nil && policies[1].egress.first?.ports == nil)
    }

    @Test("A Deployment and a Job of one name are two objects")
    func identity() {
        let template = "template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c}]}}"
        let found = resources(
            """
            apiVersion: apps/v1
            kind: Deployment
            metadata: {name: a}
            spec: {selector: {matchLabels: {a: b}}, \(template)}
            ---
            apiVersion: batch/v1
            kind: Job
            metadata: {name: a}
            spec: {\(template)}
            """)
        #expect(found.map(\.id.description) == ["Deployment/default/a", "Job/default/a"])
        #expect(found.first?.origin().kind == "Deployment")
    }

    @Test("Istio's ConfigMap wins over an IstioOperator, field by field")
    func meshConfigSources() {
        var set = ResourceSet()
        resources(
            """
            apiVersion: v1
            kind: ConfigMap
            metadata: {name: istio, namespace: istio-system}
            data: {mesh: "outboundTrafficPolicy: {mode: REGISTRY_ONLY}"}
            ---
            apiVersion: install.istio.io/v1alpha1
            kind: IstioOperator
            metadata: {name: op, namespace: istio-system}
            spec:
              meshConfig: {accessLogFile: /dev/stdout, outboundTrafficPolicy: {mode: ALLOW_ANY}}
              values: {global: {proxy: {includeIPRanges: "10.0.0.1/24", excludeOutboundPorts: 8080}}}
            """
        ).forEach { set.apply($0) }
        let (config, diagnostics) = meshConfig(of: set)
        #expect(diagnostics.isEmpty)
        #expect(config.outboundTrafficPolicy?.value == .registryOnly)
        #expect(config.accessLogFile == "/dev/stdout")
        #expect(config.includeIPRanges?.value == "10.0.0.1/24")
        #expect(config.excludeOutboundPorts?.value == "8080")
    }

    @Test("A policy block without mode is REGISTRY_ONLY; no block says nothing")
    func emptyPolicyBlock() {
        let head = "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: a}\n"
        let sidecars = resources(head + "spec: {outboundTrafficPolicy: {}}\n---\n" + head + "spec: {}")
            .compactMap { $0 as? Sidecar }
        #expect(sidecars.map { $0.outboundTrafficPolicy?.value } == [.registryOnly, nil])
    }
}

@Suite("Small readings")
struct SmallReadingTests {
    @Test("Durations are read as Go reads them")
    func durations() {
        let cases: [String: Double?] = [
            "3s": 3000, "500ms": 500, "1h": 3_600_000, "1.5s": 1500, "1m30s": 90_000, "0s": 0, "3": nil, "s": nil,
            "-1s": nil, "1 s": nil, "": nil, "3x": nil,
        ]
        for (text, value) in cases { #expect(DurationText.milliseconds(text) == value, "\(text)") }
    }

    @Test("Creation times become seconds since 1970")
    func timestamps() {
        #expect(Timestamp.seconds("1970-01-01T00:00:00Z") == 0)
        #expect(Timestamp.seconds("2018-08-01T15:32:02Z") == 1_533_137_522)
        #expect(Timestamp.seconds("2024-02-29T23:59:59.5Z") == 1_709_251_199.5)
        #expect(Timestamp.seconds("yesterday") == nil)
    }

    @Test("Plain scalars have YAML 1.1's types, quoted ones are text")
    func scalarTypes() {
        func type(_ text: String) -> ManifestNode.ScalarType? {
            YAMLParser.parse(text, file: "x").value.first?.scalarType
        }
        #expect(type("yes") == .boolean(true))
        #expect(type("0x10") == .integer(16))
        #expect(type("010") == .integer(8))
        #expect(type("1_000") == .integer(1000))
        #expect(type("-5") == .integer(-5))
        #expect(type("1.0") == .number(1))
        #expect(type("1e3") == .number(1000))
        #expect(type("~") == .null)
        #expect(type("'5'") == .string)
        #expect(type("!!str 5") == .string)
        #expect(type("10.0.0.1/24") == .string)
        #expect(type("1.2.3") == .string)
        #expect(type("-") == nil)
        #expect(type("3s") == .string)
    }

    @Test("A mistyped name finds its neighbour, a strange one finds none")
    func nearest() {
        #expect(NearestName.to("hostz", among: ["hosts", "ports"]) == "hosts")
        #expect(NearestName.to("REGISTEY_ONLY", among: ["REGISTRY_ONLY", "ALLOW_ANY"]) == "REGISTRY_ONLY")
        #expect(NearestName.to("completelyDifferent", among: ["hosts", "ports"]) == nil)
    }
}
