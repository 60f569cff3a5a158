import Evidence
import Lab
import NIOConcurrencyHelpers
import NetworkAddresses
import Testing

@Suite("Evidence as it comes in")
struct EvidenceRecorderTests {
    @Test("A drop that is seen before the proxy tells whose connection it hit still reaches the flow")
    func earlyDrop() throws {
        let client = try #require(IPEndpoint("10.244.0.3:40000"))
        let proxy = try #require(IPEndpoint("10.244.0.3:50000"))
        let site = try #require(IPEndpoint("203.0.113.10:80"))
        let recorder = EvidenceRecorder(clusterRanges: IPPrefixSet())
        let own = FiveTuple(.tcp, from: client, to: site)
        let upstream = FiveTuple(.tcp, from: proxy, to: site)
        let drops = NIOLockedValueBox<[FiveTuple]>([])
        _ = recorder.watch(own) { observation in
            if case .drop(let drop) = observation { drops.withLockedValue { $0.append(drop.tuple) } }
        }
        func drop(_ tuple: FiveTuple, at time: Double) -> Observation {
            .drop(
                DropSeen(
                    at: "node", tuple: tuple, direction: "egress", pod: "default/sleep", policies: [], timeMs: time))
        }
        let connection = ProxyConnection(
            pod: "default/sleep", proxy: "sidecar default/sleep", role: "sidecar", number: 1)
        recorder.record(.proxyAccepted(ProxyAccepted(connection: connection, tuple: own, timeMs: 5000)))
        // Long ago the same port was another connection's.
        recorder.record(drop(upstream, at: 100))
        recorder.record(drop(upstream, at: 5001))
        #expect(drops.withLockedValue(\.self).isEmpty)
        recorder.record(
            .proxyConnecting(
                ProxyConnecting(connection: connection, tuple: upstream, cluster: "c", timeMs: 5002)))
        #expect(drops.withLockedValue(\.self) == [upstream])
        recorder.record(drop(upstream, at: 6000))
        #expect(drops.withLockedValue(\.self) == [upstream, upstream])
    }
}
