import Manifests
import Mesh
import ProxyModel
import Testing

@Suite("ASMEgressTrafficPolicies are for their clients alone, through their gateway")
struct EgressTrafficLoweringTests {
    private static func policy(
        gateway: String = "egressgateway", from: String = "{namespace: default, workloadSelector: {app: sleep}}",
        to: String
    ) -> String {
        """
        apiVersion: istio.alibabacloud.com/v1
        kind: ASMEgressTrafficPolicy
        metadata: {name: egress-by-\(gateway), namespace: istio-egress}
        spec:
          byEgressGateway: {name: \(gateway)}
          egressRules: [{from: [\(from)], to: [\(to)]}]
        ---

        """
    }

    private static func destination(
        _ name: String, _ hosts: String, _ port: UInt16, _ protocolName: String, gatewayPort: UInt16, extra: String = ""
    ) -> String {
        "{name: \(name), hosts: [\(hosts)], port: {name: \(name), number: \(port), protocol: \(protocolName)}, "
            + "byEgressGateway: {port: \(gatewayPort)}\(extra)}"
    }

    private static let http = destination("http", "a.org, b.org", 80, "HTTP", gatewayPort: 80)
    private static let https = destination("https", "a.org", 443, "HTTPS", gatewayPort: 443)

    @Test("The client's requests go to the gateway in mutual TLS that names the host")
    func client() throws {
        let fixture = try GatewayFixture(Self.policy(to: Self.http))
        let table = try #require(fixture.client.table("80"))
        let route = try #require(table.host("b.org:80")?.routes.first)
        let cluster = "outbound|80|b-org-80|istio-egressgateway.istio-system.svc.cluster.local"
        #expect(route.forward?.clusters.map(\.name) == [cluster])
        #expect(
            route.origin?.hasPrefix(
                "ASMEgressTrafficPolicy istio-egress/egress-by-egressgateway egressRules[0].to[0], ") == true)
        let socket = try #require(fixture.client.cluster(cluster)?.transportSocket)
        #expect(socket.serverName == "b.org")
        #expect(socket.tlsCertificate == ProxySecret.workloadIdentity)
    }

    @Test("Another workload learns nothing of the hosts")
    func others() throws {
        for from in ["{namespace: default, workloadSelector: {app: other}}", "{namespace: other}"] {
            let fixture = try GatewayFixture(Self.policy(from: from, to: Self.http + ", " + Self.https))
            #expect(fixture.client.table("80")?.host("a.org:80") == nil)
            #expect(!fixture.client.clusters.contains { $0.name.contains("a.org") })
            #expect(fixture.client.listener("0.0.0.0_443") == nil)
        }
    }

    @Test("The gateway takes mutual TLS only, and sends on what it was told to")
    func gateway() throws {
        let fixture = try GatewayFixture(Self.policy(to: Self.http + ", " + Self.https))
        let requests = try #require(fixture.gateway.listener("0.0.0.0_8080"))
        #expect(requests.filterChains.map(\.match.serverNames) == [["a.org"], ["b.org"]])
        #expect(requests.filterChains.allSatisfy { $0.transportSocket?.requireClientCertificate == true })
        let bytes = try #require(fixture.gateway.listener("0.0.0.0_8443"))
        #expect(bytes.filterChains.map(\.tcpClusters) == [["outbound|443||a.org"]])
        #expect(bytes.filterChains.map(\.transportSocket?.requireClientCertificate) == [true])
        // One upstream serves all hosts of a destination.
        #expect(fixture.gateway.cluster("outbound|80||b.org")?.endpoints.map(\.host) == ["a.org"])
    }

    @Test("An upgraded destination has TLS of the gateway's own, clients' own TLS to the same port has not")
    func upgrade() throws {
        let upgraded = Self.destination(
            "http", "a.org", 80, "HTTP", gatewayPort: 80, extra: ", httpsUpgrade: {enabled: true, port: 443}")
        let fixture = try GatewayFixture(Self.policy(to: upgraded + ", " + Self.https))
        let cluster = try #require(fixture.gateway.cluster("outbound|443|https-upgrade|a.org"))
        #expect(cluster.transportSocket?.serverName == "a.org")
        #expect(fixture.gateway.cluster("outbound|443||a.org")?.transportSocket == nil)
        #expect(
            fixture.gateway.routes.flatMap(\.virtualHosts).flatMap(\.routes).compactMap(\.forward).flatMap(\.clusters)
                .map(\.name) == ["outbound|443|https-upgrade|a.org"])
    }

    private static func errors(_ policies: String, internet: String = "") throws -> [String] {
        try GatewayFixture(policies).diagnostics.filter { $0.severity == .error }.map {
            $0.message + ($0.remedy.map { "; " + $0 } ?? "")
        }
    }

    @Test("A gateway, a port of it, or a treatment that there is not is told, with what there is")
    func mistakes() throws {
        let id = "ASMEgressTrafficPolicy/istio-egress/egress-by-"
        #expect(
            try Self.errors(Self.policy(gateway: "egressgateway-a", to: Self.http)) == [
                "\(id)egressgateway-a: there is no gateway egressgateway-a: no workload in istio-system has the label "
                    + "istio: egressgateway-a; name egressgateway"
            ])
        #expect(
            try Self.errors(
                Self.policy(to: Self.destination("http", "a.org", 80, "HTTP", gatewayPort: 444))) == [
                    "\(id)egressgateway: gateway egressgateway has no port 444; use one of 80, 443"
                ])
        #expect(
            try Self.errors(
                Self.policy(to: Self.http + ", " + Self.destination("tls", "a.org", 443, "HTTPS", gatewayPort: 80)))
                == [
                    "\(id)egressgateway: destination tls asks for another treatment of a.org on port 80 of the gateway than "
                        + "http of \(id)egressgateway; give it another port of the gateway"
                ])
    }
}
