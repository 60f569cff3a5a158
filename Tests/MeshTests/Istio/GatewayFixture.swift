import Manifests
import Mesh
import ProxyModel
import Testing

/// A cluster with the classic egress gateway in `istio-system` and `default/sleep` with a sidecar.
struct GatewayFixture {
    let gateway: ProxyConfiguration
    let client: ProxyConfiguration
    let diagnostics: [Diagnostic]

    init(
        _ manifests: String, installation: String = Self.installation, mesh: MeshConfig = MeshConfig(),
        sourceLocation: Testing.SourceLocation = #_sourceLocation
    ) throws {
        var fixture = KubernetesFixture(
            KubernetesFixture.namespace("default", "{istio-injection: enabled}") + installation
                + KubernetesFixture.pod("sleep", labels: "{app: sleep}") + manifests, mesh: mesh)
        let (plan, diagnostics) = fixture.planAndDiagnose()
        self.diagnostics = diagnostics
        gateway = try #require(
            plan.pod("istio-egressgateway-1", in: "istio-system")?.proxy, sourceLocation: sourceLocation)
        client = try #require(plan.pod("sleep")?.proxy, sourceLocation: sourceLocation)
    }

    static let installation = install()

    static func install(podLabels: String = "{}") -> String {
        """
        apiVersion: install.istio.io/v1alpha1
        kind: IstioOperator
        spec:
          values: {gateways: {istio-egressgateway: {enabled: true, podLabels: \(podLabels)}}}
        ---

        """
    }

    /// What was said of the gateway's resources, without the places.
    var warnings: [String] { diagnostics.filter { $0.severity == .warning }.map(\.message) }

    var listenerNames: [String] { gateway.listeners.map(\.name) }

    static func gateway(
        _ servers: String, name: String = "egress", namespace: String = "default",
        selector: String = "{istio: egressgateway}"
    ) -> String {
        """
        apiVersion: networking.istio.io/v1
        kind: Gateway
        metadata: {name: \(name), namespace: \(namespace)}
        spec: {selector: \(selector), servers: [\(servers)]}
        ---

        """
    }

    static func server(
        _ port: UInt16, _ protocolName: String, _ hosts: String, mode: String? = nil, tls: String = "",
        name: String? = nil
    ) -> String {
        let settings = mode.map { ", tls: {mode: \($0)\(tls.isEmpty ? "" : ", " + tls)}" } ?? ""
        let portName = name ?? "\(protocolName.lowercased())-\(port)"
        return "{port: {number: \(port), name: \(portName), protocol: \(protocolName)}, hosts: [\(hosts)]\(settings)}"
    }

    /// `rules` is `http: [...]`, `tls: [...]` or `tcp: [...]`.
    static func virtualService(
        _ hosts: String, _ rules: String, gateways: String = "egress", name: String = "rules",
        namespace: String = "default", extra: String = ""
    ) -> String {
        """
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: \(name), namespace: \(namespace)}
        spec: {hosts: [\(hosts)], gateways: [\(gateways)]\(extra), \(rules)}
        ---

        """
    }

    static func http(_ host: String, match: String? = nil) -> String {
        "{\(match.map { "match: [\($0)], " } ?? "")route: [{destination: {host: \(host), port: {number: 80}}}]}"
    }

    static func tls(_ names: String, _ host: String, match: String = "") -> String {
        "{match: [{sniHosts: [\(names)]\(match)}], route: [{destination: {host: \(host), port: {number: 443}}}]}"
    }

    static let cnn =
        Manifest.entry(
            "cnn", "edition.cnn.com", 80, "HTTP") + Manifest.entry("cnn-tls", "edition.cnn.com", 443, "TLS")
}
