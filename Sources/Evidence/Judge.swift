import Manifests
import NetworkAddresses

/// Concludes what became of a flow from what was recorded of it: a total function, with no access to the lab.
///
/// - Allowed needs arrival at the destination, behind every enforcement point that the scenario demands.
/// - Escaped needs a packet at the boundary with no enforcement point in its chain.
/// - Denied needs a witness: a drop record, a proxy's decision, a DNS refusal.
/// - Anything without its witness, and any contradiction, is inconclusive.
package struct Judge: Sendable {
    package init() {}

    package func judge(_ record: FlowRecord) -> FlowVerdict {
        if record.lostMessages > 0 {
            return FlowVerdict(
                outcome: .inconclusive,
                reason: "the kernel dropped \(record.lostMessages) messages to an observer while the flow lasted")
        }
        if let packet = record.unattributed.first {
            return FlowVerdict(
                outcome: .inconclusive,
                reason: "a proxy sent \(packet) while the flow lasted, and nothing tells whether it was for this flow")
        }
        let findings = record.attempts.map { Finding($0, in: record) }
        let exchanges = findings.filter { $0.attempt.purpose == .exchange }

        // What left unseen by its enforcement point has left, whatever became of it afterwards.
        if let escape = exchanges.first(where: \.isEscape) { return escaped(escape, record) }
        if let arrival = exchanges.first(where: \.hasArrived) { return arrived(arrival, record) }
        if let denial = (exchanges.last(where: { $0.denial != nil }) ?? findings.last(where: { $0.denial != nil })),
            let denied = denial.denial
        {
            return contradiction(record)
                ?? FlowVerdict(
                    outcome: .denied, by: denied.by, path: denial.path, reason: denied.reason, causes: denied.causes)
        }
        if let claim = contradiction(record) { return claim }
        return failed(exchanges, findings, record)
    }

    private func escaped(_ finding: Finding, _ record: FlowRecord) -> FlowVerdict {
        let wanted = record.enforcement == .gateway ? "an egress gateway" : "a sidecar"
        let packet = finding.boundaryTuple.map { " (\($0))" } ?? ""
        return FlowVerdict(
            outcome: .escaped, path: finding.path,
            reason: "a packet crossed the boundary\(packet) without having passed \(wanted)"
                + (record.way.map { ": \($0.explanation)" } ?? ""),
            causes: record.way?.origin.map { [$0] } ?? [], technique: record.way?.technique)
    }

    private func arrived(_ finding: Finding, _ record: FlowRecord) -> FlowVerdict {
        // The destination got it, yet a proxy on the way wrote that it refused: RBAC on TCP opens the upstream first.
        if let denied = finding.denial {
            return FlowVerdict(
                outcome: .denied, by: denied.by, path: finding.path, reason: denied.reason, causes: denied.causes)
        }
        if finding.proxies.contains(where: { $0.records.isEmpty && $0.isClosed }) {
            return FlowVerdict(
                outcome: .inconclusive, path: finding.path,
                reason: "a proxy closed the connection without a record of it, though the destination was reached")
        }
        if let error = record.client.error, isRefusal(record) {
            return FlowVerdict(
                outcome: .failed, path: finding.path, reason: "it reached the destination, but \(error)")
        }
        return FlowVerdict(
            outcome: .allowed, path: finding.path, reason: "it arrived at \(finding.arrivalPlace ?? "its destination")"
        )
    }

    /// True when the exchange broke after arrival in a way that is neither policy nor a proxy's time limit.
    private func isRefusal(_ record: FlowRecord) -> Bool {
        ["tls", "emptyReply", "reset", "malformed", "timeout"].contains(record.client.errorStage ?? "")
    }

    /// The client says that it succeeded although nobody saw it arrive.
    private func contradiction(_ record: FlowRecord) -> FlowVerdict? {
        guard record.client.error == nil else { return nil }
        // A DNS agent answers lookups for other flows; only what was sent to it in place of the destination ends there.
        if record.attempts.contains(where: { $0.purpose == .exchange && $0.hop.agent != nil }) { return nil }
        let answeredByProxy = record.attempts.contains { attempt in
            attempt.hop.allProxies.contains { !$0.records.isEmpty }
        }
        if record.client.status != nil, answeredByProxy { return nil }
        if record.scheme == .tcp || record.scheme == .udp, answeredByProxy { return nil }
        return FlowVerdict(
            outcome: .inconclusive,
            reason: "the client was answered, but no destination and no proxy recorded the flow")
    }

    private func failed(_ exchanges: [Finding], _ findings: [Finding], _ record: FlowRecord) -> FlowVerdict {
        let error = record.client.error ?? "no error"
        if let drop = exchanges.lazy.flatMap(\.attempt.hop.allDrops).first(where: \.isTranslation) {
            return FlowVerdict(
                outcome: .failed, path: exchanges.last?.path ?? [],
                reason: "\(drop.at) dropped \(drop.tuple): Service \(drop.pod) has no endpoint there, and its traffic"
                    + " policy is Local")
        }
        if let proxied = exchanges.last(where: { $0.proxyFailure != nil }), let failure = proxied.proxyFailure {
            return FlowVerdict(
                outcome: .failed, by: failure.by, path: proxied.path, reason: failure.reason, causes: failure.causes)
        }
        switch record.client.errorStage {
        case "resolution":
            let answered = findings.contains {
                !$0.attempt.hop.names.isEmpty || $0.attempt.hop.agent?.answers.isEmpty == false
            }
            return FlowVerdict(
                outcome: answered ? .failed : .inconclusive,
                reason: answered
                    ? "the DNS server gave no address: \(error)"
                    : "the lookup was neither answered nor dropped: \(error)"
            )
        case "refused", "unreachable":
            // The kernel's own answer (RST or ICMP) is a witness: somebody said no.
            return FlowVerdict(outcome: .failed, path: exchanges.last?.path ?? [], reason: error)
        default:
            break
        }
        // A proxy that took the connection and never passed it on: it waits for bytes that don't come.
        if let stuck = exchanges.last(where: { $0.proxies.contains { $0.upstream.isEmpty } }) {
            return FlowVerdict(
                outcome: .failed, path: stuck.path,
                reason:
                    "\(stuck.path.last ?? "a proxy") accepted the connection and never opened one upstream: \(error)")
        }
        if let agent = exchanges.lazy.compactMap(\.attempt.hop.agent).first {
            return FlowVerdict(
                outcome: .failed,
                reason: "\(agent.at) took it in its destination's place"
                    + (record.client.error.map { ": \($0)" } ?? ", and answered"))
        }
        if let reached = exchanges.last(where: \.reachedDestination) {
            return FlowVerdict(
                outcome: .failed, path: reached.path, reason: "it reached the destination, but \(error)")
        }
        return FlowVerdict(
            outcome: .inconclusive, path: exchanges.last?.path ?? [],
            reason: "it did not arrive, and nothing recorded why: \(error)")
    }
}

/// What one attempt's chain of hops shows.
private struct Finding {
    struct Denial {
        var by: Enforcer
        var reason: String
        var causes: [String]
    }

    let attempt: Attempt
    /// In the order in which the flow passed them.
    let proxies: [ProxiedHop]
    let path: [String]
    let isEscape: Bool
    let boundaryTuple: FiveTuple?
    /// The destination received what makes the exchange: the request, the handshake, the connection, the datagram.
    let hasArrived: Bool
    /// The destination's socket was reached, whatever came of it.
    let reachedDestination: Bool
    let arrivalPlace: String?
    let denial: Denial?
    let proxyFailure: (by: Enforcer?, reason: String, causes: [String])?

    init(_ attempt: Attempt, in record: FlowRecord) {
        self.attempt = attempt
        let hop = attempt.hop
        proxies = hop.allProxies
        path = proxies.map(\.connection.proxy)

        let unenforced = hop.boundaryPackets(behind: record.enforcement)
        isEscape = attempt.purpose == .exchange && !unenforced.isEmpty
        boundaryTuple = unenforced.first?.tuple

        let ends = hop.ends
        let arrivals = ends.flatMap { Finding.arrivals(at: $0, record) }
        hasArrived = !arrivals.isEmpty
        arrivalPlace = arrivals.first
        reachedDestination = ends.contains { !$0.served.isEmpty || $0.packets.contains { $0.place == .internet } }

        denial = Finding.denial(hop, proxies)
        proxyFailure = Finding.failure(proxies)
    }

    /// Where the exchange arrived, for one end of the chain.
    private static func arrivals(at end: Hop, _ record: FlowRecord) -> [String] {
        switch record.scheme {
        case .http, .https: return end.served.filter { $0.stage == .request }.map(\.at)
        case .tls: return end.served.filter { $0.stage == .clientHello }.map(\.at)
        case .tcp, .sctp: return end.served.filter { $0.stage != .closed }.map(\.at)
        case .udp, .icmp:
            return end.served.map(\.at) + end.packets.filter { $0.place == .internet }.map { _ in "internet" }
                + (record.client.error == nil && !end.isOutbound && record.client.tuple == end.tuple && end.agent == nil
                    ? ["its destination, which answered"] : [])
        case .dns:
            return end.names.filter { $0.responseCode != "REFUSED" }.map(\.at)
                + (end.agent?.helpful.map(\.at) ?? [])
                + end.packets.filter { $0.place == .internet }.map { _ in "internet" }
        }
    }

    private static func denial(_ hop: Hop, _ proxies: [ProxiedHop]) -> Denial? {
        // The last decision of a chain is the one that counts: an earlier proxy that only reports the failure of its
        // upstream connection has decided nothing.
        for proxied in proxies.reversed() {
            for record in proxied.records {
                if case .denied(let why) = ProxyDecision(record) {
                    return Denial(
                        by: Enforcer(rawValue: proxied.connection.role) ?? .sidecar,
                        reason: "\(proxied.connection.proxy) refused it: \(why)",
                        causes: record.origin.map { [$0] } ?? [])
                }
            }
        }
        if let drop = hop.allDrops.first(where: { !$0.isTranslation }) {
            return Denial(
                by: drop.by,
                reason: "\(drop.at) dropped \(drop.tuple) (\(drop.direction) of \(drop.pod))", causes: drop.policies)
        }
        let answers = hop.names + (hop.agent.map { $0.asked.flatMap(\.names) + $0.answers } ?? [])
        if let refusal = answers.first(where: { $0.responseCode == "REFUSED" }) {
            return Denial(by: .dns, reason: "\(refusal.at) refused to answer for \(refusal.name)", causes: [])
        }
        return nil
    }

    private static func failure(_ proxies: [ProxiedHop]) -> (by: Enforcer?, reason: String, causes: [String])? {
        for proxied in proxies.reversed() {
            for record in proxied.records {
                if case .failed(let why) = ProxyDecision(record) {
                    return (
                        Enforcer(rawValue: proxied.connection.role), "\(proxied.connection.proxy): \(why)",
                        record.origin.map { [$0] } ?? []
                    )
                }
            }
        }
        return nil
    }
}

extension Hop {
    /// All proxies below this hop, depth first: the order of the path.
    package var allProxies: [ProxiedHop] { proxied.flatMap { [$0] + $0.upstream.flatMap(\.allProxies) } }

    /// All drops at this hop and below.
    var allDrops: [DropSeen] {
        drops + (agent?.decisiveDrops ?? []) + proxied.flatMap { ($0.lookups + $0.upstream).flatMap(\.allDrops) }
    }

    /// The hops where chains end: not taken up by a proxy.
    var ends: [Hop] { proxied.isEmpty ? [self] : proxied.flatMap { $0.upstream.flatMap(\.ends) } }

    /// Packets at the boundary that no enforcement point of the wanted kind had handled before.
    func boundaryPackets(behind enforcement: Scenario.Enforcement) -> [PacketSeen] {
        guard enforcement != .none else { return [] }
        var found = packets.filter { $0.place == .boundary }
        for proxy in proxied where !proxy.enforces(enforcement) {
            found += proxy.upstream.flatMap { $0.boundaryPackets(behind: enforcement) }
        }
        return found
    }
}

extension ProxiedHop {
    func enforces(_ enforcement: Scenario.Enforcement) -> Bool {
        switch enforcement {
        case .none: true
        // It goes wherever a name says: what only an SNI proxy has handled has passed no policy.
        case .sidecar: connection.role != "sni-proxy"
        case .gateway: connection.role == "gateway"
        }
    }
}
