import Manifests
import Mesh
import ProxyModel
import Testing

@Suite("Certificates from files of the proxy's container") struct CertificateFileTests {
    private static let rule = """
        apiVersion: networking.istio.io/v1
        kind: DestinationRule
        metadata: {name: rule, namespace: default}
        spec:
          host: a.example
          trafficPolicy:
            tls: {mode: MUTUAL, clientCertificate: /etc/c/cert, privateKey: /etc/c/key, caCertificates: /etc/c/ca}
        ---
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: a, namespace: default}
        spec: {hosts: [a.example], ports: [{number: 443, name: https, protocol: TLS}], resolution: DNS}
        ---
        apiVersion: v1
        kind: Secret
        metadata: {name: client, namespace: default}
        stringData: {cert: CERT, key: KEY, ca: CA}

        """

    private static func plan(annotations: String) throws -> (ProxyConfiguration, [Diagnostic]) {
        var fixture = KubernetesFixture(
            """
            apiVersion: v1
            kind: Pod
            metadata:
              name: client
              namespace: default
              labels: {sidecar.istio.io/inject: "true"}
              annotations: \(annotations)
            spec: {containers: [{name: client}]}
            ---

            """ + rule)
        let (plan, diagnostics) = fixture.planAndDiagnose()
        return (try #require(plan.pods.first { $0.pod.id.name == "client" }?.proxy), diagnostics)
    }

    @Test("annotations bring a Secret's files to the sidecar")
    func annotated() throws {
        let (configuration, diagnostics) = try Self.plan(
            annotations: #"{sidecar.istio.io/userVolume: '{"v": {"secret": {"secretName": "client"}}}', "#
                + #"sidecar.istio.io/userVolumeMount: '{"v": {"mountPath": "/etc/c"}}'}"#)
        #expect(!diagnostics.contains { $0.message.contains("has no file") })
        #expect(
            configuration.secret(named: "file-cert:/etc/c/cert~/etc/c/key")?.content
                == .tlsCertificate(chain: "CERT", key: "KEY"))
        #expect(configuration.secret(named: "file-root:/etc/c/ca")?.content == .validation("CA"))
    }

    @Test("files that no volume has are told where they are named")
    func missing() throws {
        let (configuration, diagnostics) = try Self.plan(annotations: "{}")
        #expect(configuration.secret(named: "file-root:/etc/c/ca") == nil)
        let told = diagnostics.filter { $0.message.contains("has no file") }
        #expect(told.count == 3 && told.allSatisfy { $0.severity == .warning && $0.location?.line != nil })
    }
}
