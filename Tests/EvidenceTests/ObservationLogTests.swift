import NetworkAddresses
import Testing

@testable import Evidence

@Suite struct ObservationLogTests {
    static let node = IPAddress(172, 18, 0, 2)
    static let pod = IPAddress(10, 244, 0, 5)
    static let service = IPEndpoint(IPAddress(10, 96, 0, 16), 80)
    static let gateway = IPEndpoint(IPAddress(10, 244, 0, 9), 8080)
    let sidecar = ProxyConnection(pod: "default/sleep-1", proxy: "sidecar default/sleep", role: "sidecar", number: 1)

    func log(_ observations: [Observation], usesComeFirst: Bool = false) -> ObservationLog {
        var log = ObservationLog(
            clusterRanges: IPPrefixSet([IPPrefix("10.244.0.0/16"), IPPrefix("10.96.0.0/16")].compactMap(\.self)),
            nodeAddresses: [Self.node], usesComeFirst: usesComeFirst)
        for observation in observations { log.add(observation) }
        return log
    }

    func tuple(_ port: UInt16, to destination: IPEndpoint) -> FiveTuple {
        FiveTuple(.tcp, from: IPEndpoint(Self.pod, port), to: destination)
    }

    func accepted(_ connection: ProxyConnection, _ tuple: FiveTuple, at time: Double) -> Observation {
        .proxyAccepted(ProxyAccepted(connection: connection, tuple: tuple, timeMs: time))
    }

    func connecting(
        _ connection: ProxyConnection, _ tuple: FiveTuple, request: String? = nil, reused: Bool = false, at time: Double
    ) -> Observation {
        .proxyConnecting(
            ProxyConnecting(
                connection: connection, tuple: tuple, cluster: "c", request: request, isReused: reused, timeMs: time))
    }

    func record(
        _ connection: ProxyConnection, id: String? = nil, cluster: String = "c", flags: [String] = [], at time: Double
    ) -> Observation {
        .proxyRecord(
            ProxyRecord(
                connection: connection, isHTTP: id != nil, responseCode: 200, responseFlags: flags,
                responseCodeDetails: nil, upstreamCluster: cluster, routeName: nil,
                fields: id.map { ["request_id": $0] } ?? [:], origin: nil, timeMs: time))
    }

    func served(_ tuple: FiveTuple, id: String? = nil, at time: Double) -> Observation {
        .served(
            Served(
                stage: .request, at: "internet", tuple: tuple, fields: id.map { ["x-request-id": $0] } ?? [:],
                timeMs: time))
    }

    func drop(_ tuple: FiveTuple, at time: Double) -> Observation {
        .drop(
            DropSeen(
                at: "node", tuple: tuple, direction: "egress", pod: "default/sleep-1", policies: ["NetworkPolicy a/b"],
                timeMs: time))
    }

    @Test("a pod that calls itself through a Service arrives with the node's address and its own port")
    func hairpin() {
        let target = IPEndpoint(Self.pod, 8080)
        var log = log([served(FiveTuple(.tcp, from: IPEndpoint(Self.node, 40000), to: target), at: 2)])
        log.translations = [Self.service: [target]]
        #expect(log.hop(for: tuple(40000, to: Self.service), sinceMs: 0).served.count == 1)
        #expect(log.hop(for: tuple(40001, to: Self.service), sinceMs: 0).served.isEmpty)
        // Behind the Service stands another pod: nobody's address is replaced.
        log.translations = [Self.service: [Self.gateway]]
        #expect(log.hop(for: tuple(40000, to: Self.service), sinceMs: 0).served.isEmpty)
    }

    @Test("what an earlier connection with the same ports did is no evidence of a later one")
    func reusedPorts() {
        let client = tuple(40000, to: Self.gateway)
        let upstream = tuple(41000, to: Self.gateway)
        let later = ProxyConnection(pod: sidecar.pod, proxy: sidecar.proxy, role: sidecar.role, number: 2)
        let log = log([
            accepted(sidecar, client, at: 1), connecting(sidecar, upstream, at: 2), drop(upstream, at: 3),
            accepted(later, client, at: 70_000), connecting(later, upstream, at: 70_001), served(upstream, at: 70_002),
        ])
        let hop = log.hop(for: client, sinceMs: 69_999)
        #expect(hop.proxied.map(\.connection.number) == [2])
        #expect(hop.allDrops.isEmpty && hop.proxied.first?.upstream.first?.served.count == 1)
    }

    @Test("a pooled connection brings along what was seen when it was made, and nothing from before")
    func pooledConnection() {
        let first = tuple(40000, to: Self.gateway)
        let second = tuple(40001, to: Self.gateway)
        let upstream = tuple(41000, to: Self.gateway)
        let others = (2...3).map {
            ProxyConnection(pod: sidecar.pod, proxy: sidecar.proxy, role: sidecar.role, number: $0)
        }
        let log = log([
            accepted(sidecar, first, at: 1), connecting(sidecar, upstream, request: "a", at: 2), drop(upstream, at: 3),
            .packet(PacketSeen(place: .boundary, tuple: upstream, timeMs: 69_999.9)),
            accepted(others[0], first, at: 69_999), connecting(others[0], upstream, request: "b", at: 70_000),
            accepted(others[1], second, at: 80_000),
            connecting(others[1], upstream, request: "c", reused: true, at: 80_001),
        ])
        let hop = log.hop(for: second, sinceMs: 80_000).proxied.first?.upstream.first
        #expect(hop?.packets.count == 1 && hop?.drops.isEmpty == true)
    }

    @Test("on a connection that requests share, each has its own upstream connections only")
    func sharedConnection() {
        let client = tuple(40000, to: Self.gateway)
        let shared = tuple(41000, to: Self.gateway)
        let (mine, other) = (tuple(42000, to: Self.service), tuple(42001, to: Self.service))
        let gateway = ProxyConnection(
            pod: "istio-system/gw", proxy: "gateway istio-system/gw", role: "gateway", number: 1)
        let log = log([
            accepted(sidecar, client, at: 1), connecting(sidecar, shared, request: "mine", at: 2),
            accepted(gateway, shared, at: 3), connecting(gateway, other, request: "other", at: 4), drop(other, at: 5),
            connecting(gateway, mine, request: "mine", at: 6), served(mine, id: "mine", at: 7),
            record(gateway, id: "other", flags: ["UF"], at: 8), record(gateway, id: "mine", at: 9),
            record(sidecar, id: "mine", at: 10),
        ])
        let hop = log.hop(for: client, sinceMs: 0)
        #expect(hop.allDrops.isEmpty)
        #expect(hop.allProxies.map(\.records.count) == [1, 1])
        #expect(hop.ends.map(\.tuple) == [mine])
    }

    @Test("on a connection that requests without an id share, only what arrives in a flow's own time is the flow's")
    func sharedConnectionWithoutIDs() {
        let (first, second) = (tuple(40000, to: Self.gateway), tuple(40001, to: Self.gateway))
        let shared = tuple(41000, to: Self.gateway)
        let (before, mine) = (tuple(42000, to: Self.service), tuple(42001, to: Self.service))
        let other = ProxyConnection(pod: sidecar.pod, proxy: sidecar.proxy, role: sidecar.role, number: 2)
        let gateway = ProxyConnection(
            pod: "istio-system/gw", proxy: "gateway istio-system/gw", role: "gateway", number: 1)
        func http(_ connection: ProxyConnection, at time: Double) -> Observation {
            .proxyRecord(
                ProxyRecord(
                    connection: connection, isHTTP: true, responseCode: 200, responseFlags: [],
                    responseCodeDetails: nil, upstreamCluster: "c", routeName: nil, fields: [:], origin: nil,
                    timeMs: time))
        }
        let log = log([
            accepted(sidecar, first, at: 1), connecting(sidecar, shared, at: 2), accepted(gateway, shared, at: 3),
            connecting(gateway, before, at: 4), served(before, at: 5), http(gateway, at: 6), http(sidecar, at: 7),
            accepted(other, second, at: 11), connecting(other, shared, reused: true, at: 12),
            connecting(gateway, mine, at: 13), served(mine, at: 14), http(gateway, at: 15), http(other, at: 16),
        ])
        let hop = log.hop(for: second, sinceMs: 10)
        #expect(hop.ends.map(\.tuple) == [mine])
        #expect(hop.allProxies.map(\.records.count) == [1, 1])
        // The pool takes the same upstream connection again.
        let again = self.log([
            accepted(sidecar, first, at: 1), connecting(sidecar, shared, at: 2), served(shared, at: 3),
            http(sidecar, at: 4), accepted(other, second, at: 11), connecting(other, shared, reused: true, at: 12),
            served(shared, at: 13), http(other, at: 14),
        ])
        #expect(again.hop(for: second, sinceMs: 10).ends.map { $0.served.map(\.timeMs) } == [[13]])
        // Two flows at a time, and each has its turn on the connection.
        let turns = self.log([
            accepted(sidecar, first, at: 1), accepted(other, second, at: 2), connecting(other, shared, at: 3),
            served(shared, at: 4), connecting(sidecar, shared, reused: true, at: 5), served(shared, at: 6),
            http(sidecar, at: 7), http(other, at: 8),
        ])
        #expect(turns.hop(for: first, sinceMs: 0).ends.map { $0.served.map(\.timeMs) } == [[6]])
        #expect(turns.hop(for: second, sinceMs: 0).ends.map { $0.served.map(\.timeMs) } == [[4]])
        // The other's turn began before this flow, and its request arrives only afterwards.
        let late = self.log(
            [
                accepted(other, second, at: 1), connecting(other, shared, at: 2), accepted(sidecar, first, at: 4),
                served(shared, at: 5), connecting(sidecar, shared, reused: true, at: 6), served(shared, at: 7),
                http(other, at: 8), http(sidecar, at: 9),
            ], usesComeFirst: true)
        #expect(late.hop(for: first, sinceMs: 3).ends.map { $0.served.map(\.timeMs) } == [[7]])
        #expect(late.hop(for: second, sinceMs: 0).ends.map { $0.served.map(\.timeMs) } == [[5]])
    }

    @Test("a TCP connection behind a pooled one is the flow's, though older than the flow")
    func pooledConnectionToTCPProxy() {
        let (first, second) = (tuple(40000, to: Self.gateway), tuple(40001, to: Self.gateway))
        let (shared, upstream) = (tuple(41000, to: Self.gateway), tuple(42000, to: Self.service))
        let other = ProxyConnection(pod: sidecar.pod, proxy: sidecar.proxy, role: sidecar.role, number: 2)
        let inbound = ProxyConnection(pod: "default/web", proxy: "sidecar default/web", role: "sidecar", number: 1)
        let log = log([
            accepted(sidecar, first, at: 1), connecting(sidecar, shared, request: "a", at: 2),
            accepted(inbound, shared, at: 3), connecting(inbound, upstream, at: 4),
            served(upstream, id: "a", at: 5), record(sidecar, id: "a", at: 6), accepted(other, second, at: 11),
            connecting(other, shared, request: "b", reused: true, at: 12), served(upstream, id: "b", at: 13),
            record(other, id: "b", at: 14),
        ])
        #expect(log.hop(for: second, sinceMs: 10).ends.map { $0.served.map(\.timeMs) } == [[13]])
    }

    @Test("a proxy without a host brings the drop of its question for one")
    func droppedLookup() {
        let client = tuple(40000, to: Self.gateway)
        let question = FiveTuple(.udp, from: IPEndpoint(Self.pod, 50000), to: IPEndpoint(IPAddress(10, 96, 0, 10), 53))
        let log = log([
            .proxyLookup(ProxyLookup(pod: sidecar.pod, host: "edition.cnn.com", tuple: question, timeMs: 1)),
            drop(question, at: 1), accepted(sidecar, client, at: 5),
            record(sidecar, cluster: "outbound|443||edition.cnn.com", flags: ["UH"], at: 6),
        ])
        #expect(log.hop(for: client, sinceMs: 4).allDrops.map(\.tuple) == [question])
    }

    @Test("neither an answered question nor another host's drop explains a proxy without a host")
    func unrelatedLookup() {
        let client = tuple(40000, to: Self.gateway)
        let (old, new) = (50000, 50001) as (UInt16, UInt16)
        let server = IPEndpoint(IPAddress(10, 96, 0, 10), 53)
        func question(_ port: UInt16) -> FiveTuple { FiveTuple(.udp, from: IPEndpoint(Self.pod, port), to: server) }
        let log = log([
            .proxyLookup(ProxyLookup(pod: sidecar.pod, host: "edition.cnn.com", tuple: question(old), timeMs: 1)),
            drop(question(old), at: 1),
            .proxyLookup(ProxyLookup(pod: sidecar.pod, host: "edition.cnn.com", tuple: question(new), timeMs: 2)),
            accepted(sidecar, client, at: 5),
            record(sidecar, cluster: "outbound|443||edition.cnn.com", flags: ["UH"], at: 6),
            record(sidecar, cluster: "outbound|443||other.example", flags: ["UH"], at: 6),
        ])
        #expect(log.hop(for: client, sinceMs: 4).allDrops.isEmpty)
    }
}
