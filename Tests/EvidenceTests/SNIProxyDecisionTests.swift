import Evidence
import Manifests
import NetworkAddresses
import Testing

@Suite struct SNIProxyDecisionTests {
    private func record(_ status: Int, _ name: String?) -> ProxyRecord {
        var fields = ["response_code": "\(status)"]
        fields["requested_server_name"] = name
        return ProxyRecord(
            connection: ProxyConnection(
                pod: "istio-system/gateway-1", proxy: "sni-proxy istio-system/gateway", role: "sni-proxy", number: 1),
            isHTTP: false, responseCode: status, responseFlags: [], responseCodeDetails: nil, upstreamCluster: nil,
            routeName: nil, fields: fields, origin: nil, timeMs: 0)
    }

    @Test("an SNI proxy refuses what names no server or leads back to itself; what it can't reach is a failure")
    func decisions() {
        #expect(ProxyDecision(record(200, "en.test")) == .forwarded)
        #expect(ProxyDecision(record(403, "self.test")) == .denied("self.test leads back to the proxy itself"))
        #expect(ProxyDecision(record(500, nil)) == .denied("it is no TLS handshake"))
        #expect(ProxyDecision(record(500, "")) == .denied("the handshake names no server"))
        #expect(ProxyDecision(record(500, "nx.test")) == .failed("nx.test has no address"))
        #expect(ProxyDecision(record(502, "en.test")) == .failed("can't connect to en.test"))
    }

    @Test("an SNI proxy is no enforcement point: what only it has handled has escaped")
    func openRelay() throws {
        let client = try #require(FiveTuple("10.244.0.5:4000", "10.244.0.6:8443"))
        let upstream = try #require(FiveTuple("10.244.0.6:5000", "203.0.113.9:443"))
        var end = Hop(tuple: upstream, isOutbound: true)
        end.packets = [PacketSeen(place: .boundary, tuple: upstream, timeMs: 2)]
        end.served = [Served(stage: .clientHello, at: "internet", tuple: upstream, timeMs: 3)]
        let record = record(200, "example.com")
        var hop = Hop(tuple: client, isOutbound: false)
        hop.proxied = [
            ProxiedHop(
                connection: record.connection,
                accepted: ProxyAccepted(connection: record.connection, tuple: client, timeMs: 1), records: [record],
                isClosed: true, upstream: [end])
        ]
        for enforcement in [Scenario.Enforcement.sidecar, .gateway] {
            let verdict = Judge().judge(
                FlowRecord(
                    scheme: .tls, enforcement: enforcement, attempts: [Attempt(purpose: .exchange, hop: hop)],
                    client: ClientSaw()))
            #expect(verdict.outcome == .escaped)
            #expect(verdict.path == ["sni-proxy istio-system/gateway"])
        }
    }
}

extension FiveTuple {
    fileprivate init?(_ source: String, _ destination: String) {
        guard let source = IPEndpoint(source), let destination = IPEndpoint(destination) else { return nil }
        self.init(.tcp, from: source, to: destination)
    }
}
