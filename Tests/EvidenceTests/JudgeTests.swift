import Manifests
import NetworkAddresses
import Testing

@testable import Evidence

@Suite struct JudgeTests {
    static let client = IPEndpoint(IPAddress(10, 244, 0, 5), 40000)
    static let world = IPEndpoint(IPAddress(203, 0, 113, 67), 443)
    static let upstream = IPEndpoint(IPAddress(10, 244, 0, 5), 40001)
    let direct = FiveTuple(.tcp, from: client, to: world)
    let behind = FiveTuple(.tcp, from: upstream, to: world)
    let connection = ProxyConnection(pod: "default/sleep-1", proxy: "sidecar default/sleep", role: "sidecar", number: 1)

    func log(_ observations: Observation...) -> ObservationLog {
        var log = ObservationLog(
            clusterRanges: IPPrefixSet([IPPrefix("10.244.0.0/16"), IPPrefix("10.96.0.0/16")].compactMap { $0 }))
        for observation in observations { log.add(observation) }
        return log
    }

    func judge(
        _ log: ObservationLog, scheme: Flow.Scheme = .https, enforcement: Scenario.Enforcement = .sidecar,
        client: ClientSaw, lost: Int = 0
    ) -> FlowVerdict {
        Judge().judge(
            FlowRecord(
                scheme: scheme, enforcement: enforcement,
                attempts: [Attempt(purpose: .exchange, hop: log.hop(for: direct, sinceMs: 0))], client: client,
                lostMessages: lost))
    }

    func accepted() -> Observation {
        .proxyAccepted(ProxyAccepted(connection: connection, tuple: direct, timeMs: 1))
    }
    func connecting() -> Observation {
        .proxyConnecting(
            ProxyConnecting(connection: connection, tuple: behind, cluster: "outbound|443||edition.cnn.com", timeMs: 2))
    }
    func record(
        cluster: String? = "outbound|443||edition.cnn.com", code: Int = 0, flags: [String] = [], details: String? = nil,
        route: String? = nil
    ) -> Observation {
        .proxyRecord(
            ProxyRecord(
                connection: connection, isHTTP: code != 0, responseCode: code, responseFlags: flags,
                responseCodeDetails: details, upstreamCluster: cluster, routeName: route, fields: [:],
                origin: "ServiceEntry default/cnn, cnn.yaml:3", timeMs: 5))
    }
    func served(_ tuple: FiveTuple, _ stage: Served.Stage = .request) -> Observation {
        .served(Served(stage: stage, at: "internet", tuple: tuple, timeMs: 3))
    }
    func boundary(_ tuple: FiveTuple) -> Observation {
        .packet(PacketSeen(place: .boundary, tuple: tuple, timeMs: 2))
    }
    let ok = ClientSaw(status: 200)
    let timedOut = ClientSaw(error: "connection timed out", errorStage: "connectTimeout")

    @Test("a request that arrived through its sidecar is allowed, with the sidecar in its path")
    func allowedThroughSidecar() {
        let verdict = judge(
            log(accepted(), connecting(), boundary(behind), served(behind), record(), .proxyClosed(connection)),
            client: ok)
        #expect(verdict.outcome == .allowed)
        #expect(verdict.path == ["sidecar default/sleep"])
    }

    @Test("a packet of a proxy's that two connections may have caused makes any verdict inconclusive")
    func ambiguousPacket() {
        let seen = log(accepted(), connecting(), boundary(behind), served(behind), record(), .proxyClosed(connection))
        var record = FlowRecord(
            scheme: .https, enforcement: .sidecar,
            attempts: [Attempt(purpose: .exchange, hop: seen.hop(for: direct, sinceMs: 0))], client: ok)
        #expect(Judge().judge(record).outcome == .allowed)
        record.unattributed = [behind]
        let verdict = Judge().judge(record)
        #expect(verdict.outcome == .inconclusive && verdict.reason.contains("\(behind)"))
    }

    @Test("a packet at the boundary that no proxy had made is an escape, even if nobody answered")
    func escapesWithoutAnswer() {
        let verdict = judge(log(boundary(direct)), client: timedOut)
        #expect(verdict.outcome == .escaped)
        #expect(verdict.path == [])
    }

    @Test("where nothing is demanded, a direct flow that arrived is allowed")
    func noEnforcement() {
        let verdict = judge(log(boundary(direct), served(direct)), enforcement: .none, client: ok)
        #expect(verdict.outcome == .allowed)
    }

    @Test("a sidecar alone does not satisfy a scenario that demands the gateway")
    func sidecarIsNoGateway() {
        let verdict = judge(
            log(accepted(), connecting(), boundary(behind), served(behind), record(), .proxyClosed(connection)),
            enforcement: .gateway, client: ok)
        #expect(verdict.outcome == .escaped)
    }

    @Test("a black hole's record is a denial by the sidecar, with the manifest line")
    func blackHole() {
        let verdict = judge(
            log(accepted(), record(cluster: "BlackHoleCluster", flags: ["UH"]), .proxyClosed(connection)),
            client: ClientSaw(error: "closed", errorStage: "tls"))
        #expect(verdict.outcome == .denied)
        #expect(verdict.by == .sidecar)
        #expect(verdict.causes == ["ServiceEntry default/cnn, cnn.yaml:3"])
    }

    @Test("block_all's 502 is a denial although the client was answered")
    func blockAll() {
        let verdict = judge(
            log(
                accepted(), record(cluster: nil, code: 502, details: "direct_response", route: "block_all"),
                .proxyClosed(connection)), scheme: .http, client: ClientSaw(status: 502))
        #expect(verdict.outcome == .denied)
        #expect(verdict.by == .sidecar)
    }

    @Test(
        "an answer that a route asks for is a failure, not a denial",
        arguments: [
            (301, "direct_response", [String]()), (502, "direct_response", []), (503, "fault_filter_abort", ["FI"]),
        ])
    func routesOwnAnswer(_ code: Int, _ details: String, _ flags: [String]) {
        let verdict = judge(
            log(
                accepted(), record(cluster: nil, code: code, flags: flags, details: details, route: "rule"),
                .proxyClosed(connection)), scheme: .http, client: ClientSaw(status: code))
        #expect(verdict.outcome == .failed)
        #expect(verdict.by == .sidecar)
        #expect(verdict.causes == ["ServiceEntry default/cnn, cnn.yaml:3"])
    }

    @Test("a drop of the client's own packet is a denial by network policy")
    func dropped() {
        let drop = DropSeen(
            at: "node", tuple: direct, direction: "egress", pod: "default/sleep-1",
            policies: ["NetworkPolicy default/deny, deny.yaml:1"], timeMs: 1)
        let verdict = judge(log(.drop(drop)), client: timedOut)
        #expect(verdict.outcome == .denied)
        #expect(verdict.by == .networkPolicy)
        #expect(verdict.causes == ["NetworkPolicy default/deny, deny.yaml:1"])
    }

    @Test("a drop of the sidecar's packet is a denial by network policy, through the sidecar")
    func droppedBehindSidecar() {
        let drop = DropSeen(
            at: "node", tuple: behind, direction: "egress", pod: "default/sleep-1", policies: [], timeMs: 1)
        let verdict = judge(
            log(accepted(), connecting(), .drop(drop), record(flags: ["DC"]), .proxyClosed(connection)),
            client: timedOut)
        #expect(verdict.outcome == .denied)
        #expect(verdict.by == .networkPolicy)
        #expect(verdict.path == ["sidecar default/sleep"])
    }

    @Test("a time-out alone proves nothing")
    func timeoutIsInconclusive() {
        #expect(judge(log(), client: timedOut).outcome == .inconclusive)
    }

    @Test("a client's success that nobody else saw is a contradiction")
    func unseenSuccess() {
        #expect(judge(log(), client: ok).outcome == .inconclusive)
    }

    @Test("lost kernel messages make every outcome inconclusive")
    func lostMessages() {
        let verdict = judge(log(boundary(direct), served(direct)), enforcement: .none, client: ok, lost: 1)
        #expect(verdict.outcome == .inconclusive)
    }

    @Test("an arrival through a proxy that closed without a record is inconclusive")
    func missingRecord() {
        let verdict = judge(
            log(accepted(), connecting(), boundary(behind), served(behind), .proxyClosed(connection)), client: ok)
        #expect(verdict.outcome == .inconclusive)
    }

    @Test("a missing cluster is a failure by the sidecar, not a denial")
    func missingCluster() {
        let verdict = judge(
            log(
                accepted(), record(cluster: nil, code: 503, flags: ["NC"], details: "cluster_not_found"),
                .proxyClosed(connection)), scheme: .http, client: ClientSaw(status: 503))
        #expect(verdict.outcome == .failed)
        #expect(verdict.by == .sidecar)
    }

    @Test("a proxy's own time limit does not undo an arrival")
    func gatewayTimeout() {
        let verdict = judge(
            log(
                accepted(), connecting(), boundary(behind), served(behind),
                record(code: 504, flags: ["UT"], details: "response_timeout"), .proxyClosed(connection)),
            scheme: .http, client: ClientSaw(status: 504))
        #expect(verdict.outcome == .allowed)
    }

    @Test("a refused certificate is a failure although the connection arrived")
    func refusedCertificate() {
        let verdict = judge(
            log(
                accepted(), connecting(), boundary(behind), served(behind, .clientHello), record(),
                .proxyClosed(connection)), client: ClientSaw(error: "TLS handshake failed", errorStage: "tls"))
        #expect(verdict.outcome == .failed)
    }

    @Test("what was seen of an earlier use of the same ports does not count")
    func portsAreUsedAgain() {
        var log = log(boundary(direct))
        log.add(.packet(PacketSeen(place: .internet, tuple: direct, timeMs: 2)))
        #expect(log.hop(for: direct, sinceMs: 10).packets.isEmpty)
    }

    @Test("a drop after Service translation leads back to the flow that dialled the Service")
    func translatedDrop() {
        let service = IPEndpoint(IPAddress(10, 96, 0, 20), 80)
        let pod = IPEndpoint(IPAddress(10, 244, 0, 9), 8080)
        var log = log()
        log.translations = [service: [pod]]
        let dialled = FiveTuple(.tcp, from: Self.client, to: service)
        let judged = FiveTuple(.tcp, from: Self.client, to: pod)
        log.add(.drop(DropSeen(at: "node", tuple: judged, direction: "egress", pod: "p", policies: [], timeMs: 1)))
        #expect(log.hop(for: dialled, sinceMs: 0).drops.count == 1)
        #expect(log.roots(of: judged) == [SocketKey(dialled)])
    }
}
