import Manifests
import NetworkAddresses
import Testing

@testable import Evidence

@Suite("Flows that a DNS agent took")
struct DNSAgentTests {
    static let pod = IPAddress(10, 244, 0, 5)
    static let server = IPEndpoint(IPAddress(10, 96, 0, 10), 53)
    static let serverPod = IPEndpoint(IPAddress(10, 244, 0, 2), 53)
    static let agent = "agent pod default/sleep-1"
    /// What the client sent, and what the agent got of it.
    let query = FiveTuple(.udp, from: IPEndpoint(pod, 40000), to: server)
    let taken = FiveTuple(.udp, from: IPEndpoint(pod, 40000), to: IPEndpoint(.loopbackIPv4, 15053))
    let asked = FiveTuple(.udp, from: IPEndpoint(pod, 40001), to: server)
    let arrived = FiveTuple(.udp, from: IPEndpoint(pod, 40001), to: serverPod)

    func seen(_ event: AgentSeen.Event, at time: Double = 1) -> Observation {
        .agent(AgentSeen(at: Self.agent, tuple: taken, event: event, timeMs: time))
    }

    func answered(_ code: String, at time: Double = 5) -> Observation {
        seen(.answered(name: "a.example", type: "A", responseCode: code), at: time)
    }

    func served(_ code: String = "NOERROR") -> Observation {
        .nameServed(
            NameServed(
                at: "pod kube-system/kube-dns", tuple: arrived, name: "a.example", type: "A", responseCode: code,
                timeMs: 3))
    }

    var drop: Observation {
        .drop(
            DropSeen(
                at: "node", tuple: arrived, direction: "egress", pod: "default/sleep-1",
                policies: ["NetworkPolicy default/no-dns"], timeMs: 3))
    }

    func record(
        _ observations: Observation..., scheme: Flow.Scheme = .dns, error: String? = nil, stage: String? = nil,
        purpose: Attempt.Purpose = .exchange
    ) -> FlowRecord {
        var log = ObservationLog(
            clusterRanges: IPPrefixSet([IPPrefix("10.244.0.0/16"), IPPrefix("10.96.0.0/16")].compactMap(\.self)))
        log.translations = [Self.server: [Self.serverPod]]
        for observation in observations { log.add(observation) }
        return FlowRecord(
            scheme: scheme, enforcement: .sidecar,
            attempts: [Attempt(purpose: purpose, hop: log.hop(for: query, sinceMs: 0))],
            client: ClientSaw(tuple: query, error: error, errorStage: stage))
    }

    @Test("what the agent answers itself has arrived there")
    func answers() {
        let record = record(seen(.taken), answered("NOERROR"))
        let verdict = Judge().judge(record)
        #expect(verdict.outcome == .allowed && verdict.path == [] && verdict.reason.contains(Self.agent))
        #expect(record.evidenceItems.map(\.at) == [Self.agent, "client"])
    }

    @Test("what it asks of a server is part of the chain, behind the node's translation")
    func forwards() {
        let record = record(seen(.taken), seen(.asked(asked), at: 2), served(), answered("NOERROR"))
        #expect(Judge().judge(record).outcome == .allowed)
        #expect(record.evidenceItems.map(\.at) == ["pod kube-system/kube-dns", Self.agent, "client"])
    }

    @Test("a drop of its question denies the client's")
    func dropped() {
        let direct = record(
            seen(.taken), seen(.asked(asked), at: 2), drop, answered("SERVFAIL"), error: "SERVFAIL", stage: "resolution"
        )
        let verdict = Judge().judge(direct)
        #expect(verdict.outcome == .denied && verdict.by == .networkPolicy)
        #expect(verdict.causes == ["NetworkPolicy default/no-dns"])
        let lookup = record(
            seen(.taken), seen(.asked(asked), at: 2), drop, answered("SERVFAIL"), scheme: .https, error: "SERVFAIL",
            stage: "resolution", purpose: .resolve)
        #expect(Judge().judge(lookup).outcome == .denied)
    }

    @Test("a drop that another server made good denies nothing")
    func madeGood() {
        let record = record(
            seen(.taken), seen(.asked(asked), at: 2), drop, answered("NOERROR"), scheme: .https, error: "refused",
            stage: "refused", purpose: .resolve)
        #expect(Judge().judge(record).outcome == .failed)
    }

    @Test("a server's failure without a drop is a failure, and its refusal a denial by DNS")
    func failures() {
        let failed = record(
            seen(.taken), seen(.asked(asked), at: 2), served("SERVFAIL"), answered("SERVFAIL"), error: "SERVFAIL",
            stage: "resolution")
        #expect(Judge().judge(failed).outcome == .failed)
        let refused = record(
            seen(.taken), seen(.asked(asked), at: 2), served("REFUSED"), answered("REFUSED"), error: "REFUSED",
            stage: "resolution")
        #expect(Judge().judge(refused).by == .dns)
    }

    @Test("that a lookup was answered does not say where the flow went after it")
    func lookupBefore() {
        var record = record(
            seen(.taken), seen(.asked(asked), at: 2), served(), answered("NOERROR"), scheme: .tls, purpose: .resolve)
        let exchange = FiveTuple(
            .tcp, from: IPEndpoint(Self.pod, 40002), to: IPEndpoint(IPAddress(203, 0, 113, 10), 443))
        record.attempts.append(Attempt(purpose: .exchange, hop: Hop(tuple: exchange, isOutbound: true)))
        #expect(Judge().judge(record).outcome == .inconclusive)
    }

    @Test("what is no query ends at the agent: it did not reach its destination")
    func noQuery() {
        let silent = record(seen(.taken), scheme: .udp, error: "timed out", stage: "timeout")
        #expect(Judge().judge(silent).outcome == .failed)
        let answered = record(seen(.taken), scheme: .udp)
        #expect(Judge().judge(answered).outcome == .failed)
    }
}
