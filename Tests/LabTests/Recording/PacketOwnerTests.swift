import Evidence
import Lab
import NetworkAddresses
import Testing

/// Whose a packet is that a proxy sent and does not tell of.
@Suite struct PacketOwnerTests {
    private let server = IPEndpoint(IPAddress("203.0.113.10") ?? .anyIPv4, 443)
    private let other = IPEndpoint(IPAddress("203.0.113.11") ?? .anyIPv4, 443)
    private let source = IPEndpoint(IPAddress("10.244.0.3") ?? .anyIPv4, 40_000)

    private var packet: PacketOwner {
        PacketOwner(tuple: FiveTuple(.tcp, from: source, to: server), pod: "default/client", generation: 1, timeMs: 10)
    }

    private func connection(_ number: UInt64, pod: String = "default/client", generation: Int = 1) -> ProxyConnection {
        ProxyConnection(
            pod: pod, proxy: "sidecar \(pod)", role: "sidecar", number: number, generation: generation)
    }

    private func hop(
        _ connection: ProxyConnection, host: IPEndpoint? = nil, isHTTP: Bool = false, recordedAt timeMs: Double? = nil
    ) -> ProxiedHop {
        let record = timeMs.map {
            ProxyRecord(
                connection: connection, isHTTP: isHTTP, responseCode: 0, responseFlags: ["UF"],
                responseCodeDetails: nil, upstreamCluster: nil, routeName: nil,
                fields: host.map { ["upstream_host": "\($0)"] } ?? [:], origin: nil, timeMs: $0)
        }
        let accepted = ProxyAccepted(
            connection: connection, tuple: FiveTuple(.tcp, from: source, to: server), timeMs: 1)
        return ProxiedHop(
            connection: connection, accepted: accepted, records: record.map { [$0] } ?? [], isClosed: false,
            upstream: [])
    }

    private func owner(_ hops: ProxiedHop...) -> ProxyConnection? { packet.connection(among: hops) { $0 == $1 } }

    @Test("the one connection that its pod's proxy has owns the packet, also where it comes up twice")
    func one() {
        #expect(owner(hop(connection(1))) == connection(1))
        #expect(owner(hop(connection(1)), hop(connection(1))) == connection(1))
        #expect(owner(hop(connection(1)), hop(connection(2, pod: "default/web"))) == connection(1))
    }

    @Test("with two connections that it may be of, it is nobody's")
    func two() { #expect(owner(hop(connection(1)), hop(connection(2))) == nil) }

    @Test("another pod's, or an earlier start's of the same pod, owns nothing")
    func strangers() {
        #expect(owner(hop(connection(1, pod: "default/web")), hop(connection(2, generation: 0))) == nil)
    }

    @Test("what a record says of time and host decides between two")
    func records() {
        #expect(owner(hop(connection(1), recordedAt: 9), hop(connection(2))) == connection(2))
        // Where all are earlier, the kernel was heard late.
        #expect(owner(hop(connection(1), recordedAt: 9)) == connection(1))
        #expect(owner(hop(connection(1), host: other, recordedAt: 20), hop(connection(2))) == connection(2))
        #expect(
            owner(hop(connection(1), host: server, recordedAt: 20), hop(connection(2), host: other, recordedAt: 20))
                == connection(1))
        // A request may have tried this host before the one that its record names.
        #expect(
            owner(hop(connection(1), host: other, isHTTP: true, recordedAt: 20), hop(connection(2))) == nil)
    }
}
