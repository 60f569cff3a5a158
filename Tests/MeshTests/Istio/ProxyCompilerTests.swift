import Manifests
import Mesh
import NetworkAddresses
import ProxyModel
import TestSupport
import Testing

@Suite("Whole sidecar configurations")
struct ProxyCompilerTests {
    private static let services =
        Manifest.service("sleep", 80, "http") + Manifest.service("db", 5432, "tcp")
        + Manifest.service("kube-dns", 53, "dns-tcp", namespace: "kube-system")
    private static let cnn =
        Manifest.entry("cnn", "edition.cnn.com", 80, "HTTP") + Manifest.entry("cnn-tls", "edition.cnn.com", 443, "TLS")

    @Test("REGISTRY_ONLY with one external host")
    func registryOnly() throws {
        let fixture = IstioFixture(Self.services + Self.cnn, mode: .registryOnly)
        Golden.expect(try fixture.configuration.json, equals: "registry-only.json")
    }

    @Test("ALLOW_ANY, dual stack, access log")
    func allowAny() throws {
        let fixture = IstioFixture(Self.services + Self.cnn, isIPv6: true) { $0.accessLogFile = "/dev/stdout" }
        Golden.expect(try fixture.configuration.json, equals: "allow-any-dual-stack.json")
    }

    @Test("Document 000: httpbin.org and www.google.com in Istio 1.0")
    func document000() throws {
        let manifests =
            Manifest.service("sleep", 80, "http") + Manifest.entry("httpbin-ext", "httpbin.org", 80, "HTTP")
            + Manifest.entry("google", "www.google.com", 443, "HTTPS")
        let fixture = IstioFixture(manifests, compatibility: .istio10) { $0.accessLogFile = "/dev/stdout" }
        Golden.expect(try fixture.configuration.json, equals: "document-000.json")
    }

    @Test("Two ServiceEntries of one namespace may share a host; both ports hold")
    func sharedHost() {
        let configuration = IstioFixture(Self.cnn).configuration
        #expect(configuration.cluster("outbound|80||edition.cnn.com") != nil)
        #expect(configuration.cluster("outbound|443||edition.cnn.com") != nil)
    }

    @Test("proxyHeaders switch headers off; IN_MESH withholds metadata where requests can leave the mesh")
    func proxyHeaders() throws {
        let manifests = Manifest.service("a", 8000, "http") + Manifest.entry("b", "b.test", 80, "HTTP")
        func manager(_ listener: String, _ configure: (inout MeshConfig) -> Void) -> HTTPConnectionManager? {
            IstioFixture(manifests, mode: .registryOnly, configure: configure).configuration.listener(listener)?
                .filterChains.first?.manager
        }
        #expect(
            manager("0.0.0.0_80") { _ in }?.requestHeadersToSet.map(\.name) == [
                "x-envoy-peer-metadata", "x-envoy-peer-metadata-id",
            ])
        #expect(manager("0.0.0.0_80") { $0.proxyHeaders.metadataExchangeInMeshOnly = true }?.requestHeadersToSet == [])
        #expect(
            manager("0.0.0.0_8000") { $0.proxyHeaders.metadataExchangeInMeshOnly = true }?.requestHeadersToSet.count
                == 2)
        #expect(manager("0.0.0.0_80") { $0.proxyHeaders.requestIDDisabled = true }?.generatesRequestID == false)
        #expect(manager("0.0.0.0_80") { $0.proxyHeaders.serverDisabled = true }?.serverHeader == .passThrough)
        let silent = IstioFixture(manifests) { $0.proxyHeaders.attemptCountDisabled = true }.configuration
        #expect(silent.table("80")?.virtualHosts.allSatisfy { !$0.includesAttemptCount } == true)
    }

    @Test("Pods that differ in nothing rules ask about share their outbound part; only the node's name differs")
    func sharing() {
        let fixture = IstioFixture(Self.services + Self.cnn)
        let compiler = ProxyCompiler(cluster: fixture.cluster, resources: fixture.resources)
        let other = IstioFixture.pod("other", 2, labels: ["app": "other"])
        let (a, _) = compiler.configuration(for: fixture.client, nameservers: [])
        let (b, _) = compiler.configuration(for: other, nameservers: [])
        #expect(a.node != b.node)
        #expect(
            a.clusters.filter { $0.name.hasPrefix("outbound") } == b.clusters.filter { $0.name.hasPrefix("outbound") })
        #expect(
            b.listener("0.0.0.0_80")?.filterChains.first?.manager?.requestHeadersToSet.last?.value
                == "sidecar~10.244.0.12~other-1.default~default.svc.cluster.local")
    }
}
