import Foundation
import ProxyModel
import Testing

@Suite struct TransportSocketTests {
    private static let mutual = UpstreamTLSContext(
        serverName: "outbound_.80_._.a.default.svc.cluster.local", tlsCertificate: ProxySecret.workloadIdentity,
        validation: CertificateValidation(
            trustedCA: ProxySecret.meshRoots, subjectAltNames: [.exact("spiffe://cluster.local/ns/default/sa/a")]),
        alpnProtocols: ["istio-peer-exchange", "istio"])

    private static let configuration = ProxyConfiguration(
        node: ProxyNode(
            id: "router", role: .gateway, namespace: "istio-system", pod: "gateway", workload: "gateway",
            trustDomain: "corp.example"),
        listeners: [
            Listener(
                name: "0.0.0.0_8443", addresses: [], trafficDirection: .outbound, listenerFilters: [.tlsInspector],
                filterChains: [
                    FilterChain(
                        name: "https",
                        filter: .httpConnectionManager(
                            HTTPConnectionManager(
                                statPrefix: "p", routeConfiguration: "r", clientCertificateForwarding: .gateway)),
                        transportSocket: DownstreamTLSContext(
                            tlsCertificate: ProxySecret.credential("site"), requireClientCertificate: true,
                            validation: CertificateValidation(trustedCA: ProxySecret.credentialRoots("site")),
                            alpnProtocols: ["h2", "http/1.1"], minimumVersion: .tls13),
                        transportSocketConnectTimeoutMs: 1000)
                ])
        ],
        clusters: [
            Cluster(
                name: "auto", discovery: .endpointDiscovery,
                endpoints: [Endpoint(host: "10.0.0.1", port: 80, metadata: ["tlsMode": "istio"])],
                transportSocketMatches: [
                    TransportSocketMatch(name: "tlsMode-istio", match: ["tlsMode": "istio"], context: mutual),
                    TransportSocketMatch(name: "tlsMode-disabled"),
                ])
        ],
        secrets: [ProxySecret(name: "kubernetes://site", content: .tlsCertificate(chain: "chain", key: "key"))])

    @Test("contexts, matches and secrets written as JSON are read back the same")
    func roundTrip() throws {
        let data = try JSONEncoder().encode(Self.configuration)
        #expect(try JSONDecoder().decode(ProxyConfiguration.self, from: data) == Self.configuration)
    }

    @Test("a configuration names the secrets that its listeners and clusters need")
    func referencedSecrets() {
        #expect(
            Self.configuration.referencedSecrets
                == ["kubernetes://site", "kubernetes://site-cacert", "default", "ROOTCA"])
        #expect(Self.configuration.secret(named: "default") == nil)
    }

    @Test("the first match of an endpoint's metadata chooses its context, the cluster's own comes last")
    func matches() throws {
        var cluster = try #require(Self.configuration.clusters.first)
        #expect(cluster.tlsContext(forEndpointMetadata: ["tlsMode": "istio", "x": "y"]) == Self.mutual)
        #expect(cluster.tlsContext(forEndpointMetadata: [:]) == nil)
        cluster.transportSocketMatches = [
            TransportSocketMatch(name: "never", match: ["tlsMode": "other"], context: nil)
        ]
        cluster.transportSocket = Self.mutual
        #expect(cluster.tlsContext(forEndpointMetadata: [:]) == Self.mutual)
    }
}
