package import Evidence
package import Manifests
package import Mesh
import NIOConcurrencyHelpers
import NIOCore
import Netlink
import NetworkAddresses
import Proxy

/// Sends one flow and finds out what became of it.
package struct FlowRunner: Sendable {
    private let lab: RunningLab
    private let enforcement: Scenario.Enforcement
    private let dns: DNSPlan
    private let timeoutMs: Int
    /// nil: nobody asks whether policies and kernel agree.
    let policies: PolicyComparison?

    /// How long evidence may take to come in after the client has finished: it is all made in this process and kernel,
    /// so this is generous, and only flows with missing evidence wait for it.
    static let evidenceDeadline = Duration.seconds(2)
    /// How long clients wait for an answer, unless told otherwise; for one that need not come they wait no longer than resolvers do.
    private static let datagramTimeoutMs = 5_000

    package init(
        lab: RunningLab, enforcement: Scenario.Enforcement, dns: DNSPlan, timeoutMs: Int = 60_000,
        policies: LabPlan? = nil
    ) {
        self.lab = lab
        self.enforcement = enforcement
        self.dns = dns
        self.timeoutMs = timeoutMs
        self.policies = policies.map { PolicyComparison(plan: $0, names: lab.names) }
    }

    /// Sends the flow as often as it asks, one after the other; the first that differs from the expectation counts.
    package func run(_ flow: Flow) async -> FlowResult { await begin(flow).result() }

    /// Sends the flow; returns when its exchanges are over. Connections that are to be held are open then, and the
    /// flow is judged when they close.
    package func begin(_ flow: Flow) async -> HeldFlow {
        var held: [Task<FlowResult, Never>] = []
        for _ in 0..<max(flow.count, 1) {
            await lab.untold?.flowTime.beginFlow()
            defer { lab.untold?.flowTime.endFlow() }
            do {
                // What was before it is not its own.
                if lab.untold != nil { await lab.drainPacketLogs() }
                let open = try await open(flow)
                let task = Task { await finish(open) }
                held.append(task)
                // What isn't held is judged before it is repeated.
                if flow.hold == nil { _ = await task.value }
            } catch {
                held.append(Task { unsent(flow, error) })
            }
        }
        return HeldFlow(flow: flow, tasks: held)
    }

    /// No verdict without evidence: what could not be sent proves nothing.
    private func unsent(_ flow: Flow, _ error: any Error) -> FlowResult {
        FlowResult(
            id: flow.id, from: flow.from.description, to: flow.to, expected: Expected(flow.expect), passed: false,
            mismatches: ["the flow could not be sent: \(error)"],
            observed: FlowResult.Observed(outcome: .inconclusive, reason: "the flow could not be sent: \(error)"),
            location: "\(flow.location.file):\(flow.location.line)")
    }

    /// A flow whose exchange is over and whose connection may still be open.
    private struct OpenFlow: Sendable {
        var flow: Flow
        var client: FlowSource
        var exchange: ClientExchange
        var result: ClientResult
        var tracker: FlowTracker
        var lostBefore: Int
        var loop: any EventLoop
        /// Of a connection that is held: what was found of its beginning, as policies may change meanwhile.
        var finding: PolicyComparison.Finding?
    }

    private func open(_ flow: Flow) async throws -> OpenFlow {
        var client = try await client(of: flow)
        if case .name(let name) = flow.host, let address = flow.address {
            // As `curl --resolve`: the name in SNI, Host and certificate, the connection elsewhere.
            client.site.resolver.hosts[name.lowercased()] = [address]
        }
        let lostBefore = lab.recorder.lostMessages
        let tracker = FlowTracker(
            recorder: lab.recorder, endsEarly: !flow.expect.asksTheClient, kernel: lab.untold)
        lab.untold?.begin(tracker)
        let loop = lab.group.next()
        let request = try await request(flow, from: client)
        let exchange = lab.client.run(request, at: client.site, on: loop, hold: flow.hold != nil) {
            tracker.handle($0)
        }
        tracker.attach(exchange)
        let result = try await exchange.result.get()
        tracker.exchangeEnded()
        // What the client has no answer from may have come to a server all the same, which hears of it a moment later.
        if result.failure?.stage.mayHaveArrived == true { await lab.settleServers() }
        if flow.hold != nil { await endTime(of: tracker, from: client.pod) }
        let finding = flow.hold == nil ? nil : policies?.compare(tracker.attempts())
        return OpenFlow(
            flow: flow, client: client, exchange: exchange, result: result, tracker: tracker, lostBefore: lostBefore,
            loop: loop, finding: finding)
    }

    /// Closes the connection when its time has come, or when the task is cancelled, and concludes.
    private func finish(_ open: OpenFlow) async -> FlowResult {
        switch open.flow.hold {
        case nil: break
        case .seconds(let seconds): try? await Task.sleep(for: .seconds(seconds))
        // Cancelled at the end of the scenario.
        case .untilEnd: try? await Task.sleep(for: .seconds(1_000_000_000))
        }
        open.exchange.close()
        defer { open.tracker.finish() }
        await endTime(of: open.tracker, from: open.client.pod)
        lab.untold?.adopt(open.tracker)

        let deadline = ContinuousClock.now + Self.evidenceDeadline
        while true {
            let seen = open.tracker.changes
            await lab.drainPacketLogs()
            let unattributed = lab.untold?.attribute(open.tracker) ?? []
            if open.result.status != nil || open.result.bytesReceived > 0 {
                lab.untold?.programs.answered(open.tracker)
            }
            let record = FlowRecord(
                scheme: open.flow.scheme, enforcement: enforcement, attempts: open.tracker.attempts(),
                client: saw(open.result), lostMessages: lab.recorder.lostMessages - open.lostBefore,
                unattributed: unattributed, way: way(open.result, open.client))
            let isSettled =
                record.attempts.allSatisfy { $0.hop.isSettled(depth: 0) }
                && Judge().judge(record).outcome != .inconclusive
            if isSettled || ContinuousClock.now >= deadline {
                return conclude(open.flow, record, open.finding ?? policies?.compare(record.attempts) ?? .init())
            }
            await open.tracker.change(after: seen, until: deadline, on: open.loop)
        }
    }

    /// Waits until all that the flow has caused so far is recorded; what is seen afterwards is another's.
    private func endTime(of tracker: FlowTracker, from pod: RunningPod?) async {
        await settle(tracker, from: pod)
        await lab.drainPacketLogs()
        lab.untold?.attribute(tracker)
        lab.untold?.end(tracker)
    }

    /// Has the proxies on the flow's way tell all they know, one after the other: each may show the way to the next.
    private func settle(_ tracker: FlowTracker, from pod: RunningPod?) async {
        var settled: Set<ObjectIdentifier> = []
        var next = pod.map { [$0] } ?? []
        repeat {
            await withTaskGroup(of: Void.self) { group in
                // One that can't settle has ended, and the lab with it.
                for pod in next { group.addTask { try? await pod.settle() } }
            }
            settled.formUnion(next.map(ObjectIdentifier.init))
            var reached: [RunningPod] = []
            for attempt in tracker.attempts() {
                for hop in attempt.hop.all { reached += await lab.pods(at: hop.tuple.destination) }
            }
            next = reached.filter { !settled.contains(ObjectIdentifier($0)) }
        } while !next.isEmpty
    }

    private func conclude(_ flow: Flow, _ record: FlowRecord, _ finding: PolicyComparison.Finding) -> FlowResult {
        let verdict = Judge().judge(record)
        let mismatches =
            ExpectationCheck().mismatches(flow.expect, verdict, record.client) + finding.disagreements
        let ambiguous =
            finding.ambiguous.isEmpty
            ? "" : "; ambiguous: \(finding.ambiguous.joined(separator: " and ")) have the same priority"
        return FlowResult(
            id: flow.id, from: flow.from.description, to: flow.to, expected: Expected(flow.expect),
            passed: mismatches.isEmpty && verdict.outcome != .inconclusive, mismatches: mismatches,
            observed: FlowResult.Observed(
                outcome: verdict.outcome, by: verdict.by, path: verdict.path, status: record.client.status,
                error: record.client.error, errorStage: record.client.errorStage, headers: headers(of: record.client),
                body: record.client.received, durationMs: record.client.durationMs,
                reason: verdict.reason + ambiguous,
                causes: verdict.causes, technique: verdict.technique),
            evidence: record.evidenceItems, location: "\(flow.location.file):\(flow.location.line)",
            disagreements: finding.disagreements.isEmpty ? nil : finding.disagreements)
    }

    private func headers(of client: ClientSaw) -> [ReceivedHeader]? {
        client.status == nil ? nil : client.headers.map { ReceivedHeader(name: $0.name, value: $0.value) }
    }

    private func saw(_ result: ClientResult) -> ClientSaw {
        ClientSaw(
            tuple: result.attempts.last, status: result.status, headers: result.headers,
            body: String(decoding: result.body, as: UTF8.self), error: result.failure?.description,
            errorStage: result.failure.map { "\($0.stage)" }, durationMs: result.durationMs,
            bodySize: result.bytesReceived, bodyDigest: result.bodyDigest)
    }

    private func way(_ result: ClientResult, _ client: FlowSource) -> EscapeWay? {
        guard let pod = client.pod else { return nil }
        let explanation = CaptureExplanation(pod: pod.plan.pod)
        return result.attempts.lazy.compactMap {
            explanation.way($0, uid: client.uid, gid: client.gid, beforeRules: !pod.hasStarted)
        }.first
    }

    // MARK: Who sends

    /// Where a flow's client lives, and as whom it runs.
    struct FlowSource: Sendable {
        var site: ClientSite
        var pod: RunningPod?
        var uid: UInt32
        var gid: UInt32
    }

    private func client(of flow: Flow) async throws -> FlowSource {
        switch flow.from {
        case .workload(let reference):
            guard let pod = await lab.pod(of: reference) else {
                throw LabError("no pod of \(reference) is running")
            }
            let owner = pod.credentials(container: reference.container)
            let (uid, gid) = (flow.uid ?? owner.uid, flow.gid ?? owner.gid)
            return FlowSource(
                site: ClientSite(in: pod, uid: uid, gid: gid, dns: dns), pod: pod, uid: uid, gid: gid)
        case .node(let name):
            guard let node = lab.nodes[named: name] else { throw LabError("there is no node \(name)") }
            return FlowSource(
                site: ClientSite(
                    context: NamespaceContext(node.namespace, uid: flow.uid ?? 0, gid: flow.gid ?? 0),
                    resolver: ClientResolverConfiguration(nameservers: dns.endpoints, searchDomains: [], ndots: 1),
                    sourceAddresses: node.addresses), pod: nil, uid: flow.uid ?? 0, gid: flow.gid ?? 0)
        case .internet(let address):
            return FlowSource(
                site: ClientSite(
                    context: NamespaceContext(lab.internet),
                    resolver: ClientResolverConfiguration(
                        nameservers: [IPEndpoint(.loopbackIPv4, LabConstants.dnsPort)], ndots: 1),
                    sourceAddresses: [address]), pod: nil, uid: 0, gid: 0)
        }
    }

    // MARK: What is sent

    private func request(_ flow: Flow, from source: FlowSource) async throws -> ClientRequest {
        guard let kind = ClientRequest.Kind(flow.scheme) else {
            throw LabError("flows of scheme \(flow.scheme.rawValue) can't be sent yet")
        }
        let target: ClientRequest.Target
        switch flow.host {
        case .name(let host) where host.isEmpty:
            // dns://NAME asks the pod's own resolver.
            target = .addresses(source.site.resolver.nameservers.map(\.address))
        case .name(let host): target = .name(host)
        case .address(let address): target = .addresses([flow.address ?? address])
        case .workload(let reference):
            guard let pod = await lab.pod(of: reference) else {
                throw LabError("no pod of \(reference) is running")
            }
            target = .addresses(flow.address.map { [$0] } ?? pod.plan.pod.addresses)
        }
        var family = flow.family
        if case .internet(let address) = flow.from {
            // It has no other address to speak from.
            guard family == nil || family == address.family else {
                throw LabError("\(address) can't send \(flow.family?.rawValue ?? "")")
            }
            family = address.family
        }
        return ClientRequest(
            kind: kind, target: target, port: flow.port, path: flow.path, method: flow.method,
            headers: flow.headers.map { ($0.name, $0.value) }, body: flow.body, httpVersion: flow.httpVersion,
            serverName: flow.sni, hostHeader: flow.hostHeader, family: family,
            timeoutMs: flow.scheme.isConnectionless ? Self.datagramTimeoutMs : timeoutMs)
    }
}

/// A flow that was sent, with connections that may be open still.
package struct HeldFlow: Sendable {
    package let flow: Flow
    fileprivate let tasks: [Task<FlowResult, Never>]

    /// Waits until the connections have closed at their time; the first that differs from the expectation counts.
    package func result() async -> FlowResult {
        var results: [FlowResult] = []
        for task in tasks { results.append(await task.value) }
        return results.first { !$0.passed } ?? results[results.count - 1]
    }

    /// Closes the connections now, and waits for the verdict.
    package func end() async -> FlowResult {
        for task in tasks { task.cancel() }
        return await result()
    }
}

extension FlowResult {
    /// Stands for a flow whose connection is still open; should the lab break down meanwhile, nothing is known of it.
    init(unfinished flow: Flow) {
        self.init(
            id: flow.id, from: flow.from.description, to: flow.to, expected: Expected(flow.expect), passed: false,
            mismatches: ["its connection was still open when the lab ended"],
            observed: Observed(
                outcome: .inconclusive, reason: "its connection was still open when the lab ended"),
            location: "\(flow.location.file):\(flow.location.line)")
    }
}

extension FlowExpectation {
    /// True when a denial is expected to show in a way that only the client can see: then nothing may cut its exchange
    /// short.
    fileprivate var asksTheClient: Bool {
        outcome == .denied && (status != nil || body != nil || !headers.isEmpty || durationMs != nil)
    }
}

extension Flow.Scheme {
    fileprivate var isConnectionless: Bool { self == .udp || self == .icmp || self == .sctp }
}

extension ClientRequest.Kind {
    init?(_ scheme: Flow.Scheme) {
        switch scheme {
        case .http: self = .http
        case .https: self = .https
        case .tcp: self = .tcp
        case .tls: self = .tls
        case .udp: self = .udp
        case .icmp: self = .icmp
        case .dns: self = .dns
        case .sctp: self = .sctp
        }
    }
}

extension Hop {
    /// This hop and all that follow from it.
    fileprivate var all: [Hop] { [self] + proxied.flatMap { $0.upstream.flatMap(\.all) } }

    /// True when all that will ever be recorded of this chain is there: every proxy on the way has closed its part. A
    /// proxy behind another may keep its connection in a pool; there the request's own record is the end.
    func isSettled(depth: Int) -> Bool {
        proxied.allSatisfy { proxy in
            (proxy.isClosed || depth > 0 && !proxy.records.isEmpty)
                && proxy.upstream.allSatisfy { $0.isSettled(depth: depth + 1) }
        }
    }
}

/// The lab could not do what was asked of it.
struct LabError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
