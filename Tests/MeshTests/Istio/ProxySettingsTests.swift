import Manifests
import Mesh
import ProxyModel
import Testing

@Suite("What proxies are started with")
struct ProxySettingsTests {
    private static func variables(_ text: String) -> String { "{ISTIO_META_IDLE_TIMEOUT: \(text)}" }

    private static func config(
        _ name: String, _ timeout: String, namespace: String = "default", selector: String? = nil
    ) -> String {
        """
        apiVersion: networking.istio.io/v1beta1
        kind: ProxyConfig
        metadata: {name: \(name), namespace: \(namespace)}
        spec: {\(selector.map { "selector: {matchLabels: \($0)}, " } ?? "")environmentVariables: \(variables(timeout))}
        ---

        """
    }

    private static func pod(annotation: String? = nil, environment: String? = nil) -> String {
        """
        apiVersion: v1
        kind: Pod
        metadata:
          name: sleep
          namespace: default
          labels: {app: sleep, sidecar.istio.io/inject: "true"}
          annotations: {\(annotation.map { "proxy.istio.io/config: '{proxyMetadata: \(variables($0))}'" } ?? "")}
        spec:
          containers:
            - {name: sleep, image: sleep}
            \(environment.map { "- {name: istio-proxy, image: auto, env: [{name: ISTIO_META_IDLE_TIMEOUT, value: \($0)}]}" } ?? "")
        ---

        """
    }

    /// Of the connection managers of a pod's proxy; nil where they have none.
    private static func idleTimeout(of configuration: ProxyConfiguration?) throws -> Int? {
        let managers = (configuration?.listeners ?? []).flatMap(\.filterChains).compactMap { chain in
            if case .httpConnectionManager(let manager) = chain.filter { manager } else { nil }
        }
        let limits = Set(managers.map(\.idleTimeoutMs))
        #expect(limits.count == 1)
        return limits.first ?? nil
    }

    private static func idleTimeout(_ manifests: String, mesh: String? = "1s") throws -> Int? {
        var config = MeshConfig()
        config.proxyMetadata["ISTIO_META_IDLE_TIMEOUT"] = mesh.map {
            Located($0, at: SourceLocation(file: "mesh.yaml"))
        }
        let entry = Manifest.entry("a", "a.example", 80, "HTTP")
        return try idleTimeout(of: KubernetesFixture.plan(manifests + entry, mesh: config).pod("sleep")?.proxy)
    }

    @Test(
        "The mesh, the root namespace, the namespace, the annotation, the selecting resource, the environment: in order"
    )
    func precedence() throws {
        let root = Self.config("root", "2s", namespace: "istio-system")
        let namespace = Self.config("namespace", "3s")
        let selecting = Self.config("selecting", "5s", selector: "{app: sleep}")
        #expect(try Self.idleTimeout(Self.pod(), mesh: nil) == nil)
        #expect(try Self.idleTimeout(Self.pod()) == 1000)
        #expect(try Self.idleTimeout(Self.pod() + root) == 2000)
        #expect(try Self.idleTimeout(Self.pod() + root + namespace) == 3000)
        #expect(try Self.idleTimeout(Self.pod(annotation: "4s") + root + namespace) == 4000)
        #expect(try Self.idleTimeout(Self.pod(annotation: "4s") + root + namespace + selecting) == 5000)
        #expect(
            try Self.idleTimeout(Self.pod(annotation: "4s", environment: "6s") + root + namespace + selecting) == 6000)
    }

    @Test("A resource counts in its own namespace, for the labels that it selects, and the older of two alone")
    func selection() throws {
        #expect(try Self.idleTimeout(Self.pod() + Self.config("other", "2s", selector: "{app: other}")) == 1000)
        #expect(try Self.idleTimeout(Self.pod() + Self.config("elsewhere", "2s", namespace: "elsewhere")) == 1000)
        let inRoot = Self.config("root", "2s", namespace: "istio-system", selector: "{app: sleep}")
        #expect(try Self.idleTimeout(Self.pod() + inRoot) == 1000)
        #expect(try Self.idleTimeout(Self.pod() + Self.config("older", "2s") + Self.config("newer", "3s")) == 2000)
    }

    @Test("What is no duration counts for nothing")
    func wrong() throws {
        #expect(try Self.idleTimeout(Self.pod(environment: "soon")) == nil)
    }

    @Test("A gateway of the user's own is started with its container's environment")
    func gateway() throws {
        let deployment = """
            apiVersion: apps/v1
            kind: Deployment
            metadata: {name: egress, namespace: default}
            spec:
              selector: {matchLabels: {istio: own}}
              template:
                metadata: {labels: {istio: own}, annotations: {inject.istio.io/templates: gateway}}
                spec:
                  containers:
                    - {name: istio-proxy, image: auto, env: [{name: ISTIO_META_IDLE_TIMEOUT, value: 7s}]}
            ---

            """
        let gateway = GatewayFixture.gateway(
            GatewayFixture.server(80, "HTTP", "a.example"), selector: "{istio: own}")
        let plan = KubernetesFixture.plan(
            deployment + gateway + Self.config("namespace", "3s") + Manifest.entry("a", "a.example", 80, "HTTP"))
        #expect(try Self.idleTimeout(of: plan.pod("egress-1")?.proxy) == 7000)
    }

    @Test("An annotation's proxyHeaders are those of its pod alone")
    func headers() throws {
        let pods =
            KubernetesFixture.pod(
                "quiet", labels: "{sidecar.istio.io/inject: \"true\"}",
                annotations: "{proxy.istio.io/config: '{proxyHeaders: {requestId: {disabled: true}}}'}")
            + KubernetesFixture.pod("other", labels: "{sidecar.istio.io/inject: \"true\"}")
        let plan = KubernetesFixture.plan(pods + Manifest.entry("a", "a.example", 80, "HTTP"))
        func generates(_ pod: String) -> Bool? {
            let chains = plan.pod(pod)?.proxy?.listener("0.0.0.0_80")?.filterChains ?? []
            return chains.lazy.compactMap { chain in
                if case .httpConnectionManager(let manager) = chain.filter { manager.generatesRequestID } else { nil }
            }.first
        }
        #expect(generates("quiet") == false && generates("other") == true)
    }
}
