package import Evidence
package import Manifests
package import Mesh
import NIOConcurrencyHelpers
import NIOCore
import Netlink
import NetworkAddresses

/// Sends one flow and finds out what became of it.
package struct FlowRunner: Sendable {
    private let lab: RunningLab
    private let enforcement: Scenario.Enforcement
    private let dns: DNSPlan
    private let node: NodePlan

    /// How long evidence may take to come in after the client has finished: it is all made in this process and kernel,
    /// so this is generous, and only flows with missing evidence wait for it.
    static let evidenceDeadline = Duration.seconds(2)

    package init(lab: RunningLab, enforcement: Scenario.Enforcement, dns: DNSPlan, node: NodePlan) {
        self.lab = lab
        self.enforcement = enforcement
        self.dns = dns
        self.node = node
    }

    /// Sends the flow as often as it asks, one after the other; the first that differs from the expectation counts.
    package func run(_ flow: Flow) async -> FlowResult {
        var result = await runOnce(flow)
        for _ in 1..<max(flow.count, 1) {
            let next = await runOnce(flow)
            if result.passed { result = next }
        }
        return result
    }

    private func runOnce(_ flow: Flow) async -> FlowResult {
        do {
            var client = try await client(of: flow)
            if case .name(let name) = flow.host, let address = flow.address {
                // As `curl --resolve`: the name in SNI, Host and certificate, the connection elsewhere.
                client.site.resolver.hosts[name.lowercased()] = [address]
            }
            let record = try await exchange(flow, client)
            return conclude(flow, record)
        } catch {
            // No verdict without evidence: what could not be sent proves nothing.
            return FlowResult(
                id: flow.id, from: flow.from.description, to: flow.to, expected: Expected(flow.expect), passed: false,
                mismatches: ["the flow could not be sent: \(error)"],
                observed: FlowResult.Observed(outcome: .inconclusive, reason: "the flow could not be sent: \(error)"),
                location: "\(flow.location.file):\(flow.location.line)")
        }
    }

    private func exchange(_ flow: Flow, _ client: FlowSource) async throws -> FlowRecord {
        let lostBefore = lab.recorder.lostMessages
        let tracker = FlowTracker(recorder: lab.recorder)
        let loop = lab.group.next()
        let request = try await request(flow, from: client)
        let exchange = lab.client.run(request, at: client.site, on: loop, hold: flow.hold != nil) {
            tracker.handle($0)
        }
        tracker.attach(exchange)
        let result = try await exchange.result.get()
        if let hold = flow.hold, case .seconds(let seconds) = hold { try await Task.sleep(for: .seconds(seconds)) }
        exchange.close()
        defer { tracker.finish() }

        let deadline = ContinuousClock.now + Self.evidenceDeadline
        while true {
            let seen = tracker.changes
            await lab.drainPacketLogs()
            let record = FlowRecord(
                scheme: flow.scheme, enforcement: enforcement, attempts: tracker.attempts(), client: saw(result),
                lostMessages: lab.recorder.lostMessages - lostBefore, way: way(result, tracker, client))
            let isSettled =
                record.attempts.allSatisfy { $0.hop.isSettled(depth: 0) }
                && Judge().judge(record).outcome != .inconclusive
            if isSettled || ContinuousClock.now >= deadline { return record }
            await tracker.change(after: seen, until: deadline, on: loop)
        }
    }

    private func conclude(_ flow: Flow, _ record: FlowRecord) -> FlowResult {
        let verdict = Judge().judge(record)
        let mismatches = ExpectationCheck().mismatches(flow.expect, verdict, record.client)
        return FlowResult(
            id: flow.id, from: flow.from.description, to: flow.to, expected: Expected(flow.expect),
            passed: mismatches.isEmpty && verdict.outcome != .inconclusive, mismatches: mismatches,
            observed: FlowResult.Observed(
                outcome: verdict.outcome, by: verdict.by, path: verdict.path, status: record.client.status,
                error: record.client.error, durationMs: record.client.durationMs, reason: verdict.reason,
                causes: verdict.causes, technique: verdict.technique),
            evidence: record.evidenceItems, location: "\(flow.location.file):\(flow.location.line)")
    }

    private func saw(_ result: ClientResult) -> ClientSaw {
        ClientSaw(
            tuple: result.attempts.last, status: result.status, headers: result.headers,
            body: String(decoding: result.body, as: UTF8.self), error: result.failure?.description,
            errorStage: result.failure.map { "\($0.stage)" }, durationMs: result.durationMs)
    }

    private func way(_ result: ClientResult, _ tracker: FlowTracker, _ client: FlowSource) -> EscapeWay? {
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
                site: ClientSite(
                    context: pod.context(uid: uid, gid: gid), resolver: resolver(of: pod),
                    sourceAddresses: pod.plan.pod.addresses), pod: pod, uid: uid, gid: gid)
        case .node:
            return FlowSource(
                site: ClientSite(
                    context: NamespaceContext(lab.node, uid: flow.uid ?? 0, gid: flow.gid ?? 0),
                    resolver: ClientResolverConfiguration(nameservers: nameservers, searchDomains: [], ndots: 1),
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

    private var nameservers: [IPEndpoint] { dns.nameservers.map { IPEndpoint($0, LabConstants.dnsPort) } }

    private func resolver(of pod: RunningPod) -> ClientResolverConfiguration {
        let families = Set(pod.plan.pod.addresses.map(\.family))
        return ClientResolverConfiguration(
            nameservers: nameservers.filter { families.contains($0.address.family) },
            searchDomains: dns.searchDomains(namespace: pod.id.namespace),
            hosts: ["localhost": [.loopbackIPv6, .loopbackIPv4], pod.id.name: pod.plan.pod.addresses])
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
        return ClientRequest(
            kind: kind, target: target, port: flow.port, path: flow.path, method: flow.method,
            headers: flow.headers.map { ($0.name, $0.value) }, body: flow.body, httpVersion: flow.httpVersion,
            serverName: flow.sni, hostHeader: flow.hostHeader, family: flow.family)
    }
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
        case .sctp: return nil
        }
    }
}

extension Hop {
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
