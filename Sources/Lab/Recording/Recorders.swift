import DNS
import Evidence
import Manifests
import Mesh
import NIOConcurrencyHelpers
import NetworkAddresses
import Proxy
import ProxyModel

/// Hands a proxy's events to the evidence, in the names that paths use.
struct ProxyRecorder: Sendable {
    let node: ProxyNode
    let generation: Int
    let recorder: EvidenceRecorder
    var telemetry: TelemetryLog?
    var metrics: IstioMetrics?
    var untold: UntoldConnections?

    func record(_ event: ProxyEvent) {
        let now = recorder.nowMs
        switch event {
        case .accepted(let number, let from, let destination):
            recorder.record(
                .proxyAccepted(
                    ProxyAccepted(
                        connection: connection(number), tuple: FiveTuple(.tcp, from: from, to: destination),
                        timeMs: now)))
        case .connecting(let number, let local, let to, let cluster, let request, let isReused):
            // Without a socket there is no packet either.
            guard let local else { return }
            let tuple = FiveTuple(.tcp, from: local, to: to)
            recorder.record(
                .proxyConnecting(
                    ProxyConnecting(
                        connection: connection(number), tuple: tuple, cluster: cluster, request: request,
                        isReused: isReused, timeMs: now)))
            if !isReused { untold?.proxyConnected(tuple) }
        case .progress(let record): metrics?.report(record)
        case .record(let number, let record):
            telemetry?.report(record, by: node)
            metrics?.count(record)
            var seen = ProxyRecord(
                connection: connection(number), isHTTP: record.kind == .http,
                responseCode: record.responseCode, responseFlags: record.responseFlags,
                responseCodeDetails: record.responseCodeDetails, upstreamCluster: record.upstreamCluster,
                routeName: record.routeName, fields: record.jsonFields, origin: record.origin, timeMs: now)
            seen.endedInHandshake = record.endedInHandshake ?? false
            recorder.record(.proxyRecord(seen))
        case .closed(let number):
            recorder.record(.proxyClosed(connection(number)))
        }
    }

    private func connection(_ number: UInt64) -> ProxyConnection {
        ProxyConnection(number, of: node, generation: generation)
    }
}

extension ProxyConnection {
    /// A connection of a proxy, in the names that paths use.
    init(_ number: UInt64, of node: ProxyNode, generation: Int) {
        self.init(
            pod: "\(node.namespace)/\(node.pod)", proxy: "\(node.role.rawValue) \(node.namespace)/\(node.workload)",
            role: node.role.rawValue, number: number, generation: generation)
    }
}

extension AccessLogRecord {
    /// The record by the keys of Istio's JSON log; absent values left out.
    package var jsonFields: [String: String] {
        var fields: [String: String] = [
            "response_code": "\(responseCode)",
            "response_flags": responseFlags.isEmpty ? "-" : responseFlags.joined(separator: ","),
            "bytes_received": "\(bytesReceived)", "bytes_sent": "\(bytesSent)", "duration": "\(durationMs)",
        ]
        func set(_ key: String, _ value: (some CustomStringConvertible)?) {
            if let value { fields[key] = "\(value)" }
        }
        set("method", method)
        set("path", path)
        set("protocol", `protocol`)
        set("response_code_details", responseCodeDetails)
        set("connection_termination_details", connectionTerminationDetails)
        set("upstream_transport_failure_reason", upstreamTransportFailureReason)
        set("upstream_service_time", upstreamServiceTimeMs)
        set("x_forwarded_for", xForwardedFor)
        set("user_agent", userAgent)
        set("request_id", requestID)
        set("authority", authority)
        set("upstream_host", upstreamHost)
        set("upstream_cluster", upstreamCluster)
        set("upstream_local_address", upstreamLocalAddress)
        set("downstream_local_address", downstreamLocalAddress)
        set("downstream_remote_address", downstreamRemoteAddress)
        set("requested_server_name", requestedServerName)
        set("route_name", routeName)
        return fields
    }
}

extension EvidenceRecorder {
    /// Records the lookups of a pod's proxy, and ends those whose query is dropped.
    func lookupObserver(of pod: PodID) -> DNSHostResolver.Observer {
        { host, query, dropped in
            self.record(.proxyLookup(ProxyLookup(pod: "\(pod)", host: host, tuple: query, timeMs: self.nowMs)))
            let watch = self.watch(query) { if case .drop = $0 { dropped() } }
            return { self.unwatch(watch) }
        }
    }

    /// Records what a pod's DNS agent does, and ends those of its questions that are dropped.
    func agentObserver(
        of pod: PodID, untold: UntoldConnections?
    ) -> @Sendable (DNSForwarder.Event, DNSQuery) -> Void {
        let site = Self.agentSite(of: pod)
        let watches = NIOLockedValueBox<[FiveTuple: Watch]>([:])
        return { event, query in
            func record(_ seen: AgentSeen.Event) {
                self.record(.agent(AgentSeen(at: site, tuple: query.tuple, event: seen, timeMs: self.nowMs)))
            }
            switch event {
            case .answering(let question):
                guard let question else { return }
                record(
                    .answered(name: question.name, type: "\(question.type)", responseCode: "\(question.code)"))
            case .asking(_, let tuple, let dropped):
                // It is no proxy's.
                untold?.clientBegins(tuple)
                record(.asked(tuple))
                let watch = self.watch(tuple) { if case .drop = $0 { dropped() } }
                watches.withLockedValue { $0[tuple] = watch }
            case .asked(let tuple):
                untold?.clientEnded(tuple)
                if let watch = watches.withLockedValue({ $0.removeValue(forKey: tuple) }) { self.unwatch(watch) }
            }
        }
    }

    /// Records that a pod's DNS agent got something.
    func recordTaken(_ tuple: FiveTuple, byAgentOf pod: PodID) {
        record(.agent(AgentSeen(at: Self.agentSite(of: pod), tuple: tuple, event: .taken, timeMs: nowMs)))
    }

    private static func agentSite(of pod: PodID) -> String { "agent pod \(pod)" }

    func record(_ arrival: Arrival) {
        var fields: [String: String] = [:]
        if let value = arrival.serverName { fields["sni"] = value }
        if let value = arrival.host { fields["host"] = value }
        if let value = arrival.method { fields["method"] = value }
        if let value = arrival.path { fields["path"] = value }
        if let id = arrival.headers.first(where: { $0.name.lowercased() == "x-request-id" }) {
            fields["x-request-id"] = id.value
        }
        let site =
            switch arrival.site {
            case .internet: "internet"
            case .pod(let name): "pod \(name)"
            }
        guard let stage = Served.Stage(rawValue: arrival.stage.rawValue) else { return }
        record(.served(Served(stage: stage, at: site, tuple: arrival.tuple, fields: fields, timeMs: nowMs)))
    }

    func recordQuery(_ query: DNSServer.Query, at site: String) {
        guard let question = query.question else { return }
        record(
            .nameServed(
                NameServed(
                    at: site, tuple: query.tuple, name: question.name, type: "\(question.type)",
                    responseCode: "\(question.code)", timeMs: nowMs)))
    }
}

/// What the drop log's prefixes stand for at one place, over all plans of a run.
final class DropReasons: Sendable {
    private struct State {
        var reasons: [String: DropReason] = [:]
        var firewall: FirewallPlan?
        var pods: [IPAddress: PodID] = [:]
    }

    private let place: String
    private let state = NIOLockedValueBox(State())

    /// - Parameter place: `node`, or the name of one of several.
    init(at place: String) { self.place = place }

    func add(_ new: [String: DropReason], pods: [PodPlan]) {
        let addresses = pods.flatMap { pod in pod.pod.addresses.map { ($0, pod.pod.id) } }
        state.withLockedValue {
            $0.reasons.merge(new) { $1 }
            $0.pods.merge(addresses) { $1 }
        }
    }

    /// The boundary is at this place too, with this firewall.
    func set(_ firewall: FirewallPlan?) { state.withLockedValue { $0.firewall = firewall } }

    func drop(_ prefix: String, _ tuple: FiveTuple, timeMs: Double) -> DropSeen {
        if let drop = ServiceDrop(prefix: prefix) {
            return DropSeen(
                at: place, tuple: tuple, direction: DropSeen.translation, pod: drop.service, policies: [],
                timeMs: timeMs)
        }
        let state = state.withLockedValue { $0 }
        if prefix == LabConstants.firewallPrefix, let firewall = state.firewall {
            return DropSeen(
                at: "boundary", by: .boundary, tuple: tuple, direction: "egress",
                pod: firewall.owners[tuple.source.address] ?? "?", policies: [firewall.origin.description],
                timeMs: timeMs)
        }
        guard let reason = state.reasons[prefix] else {
            return DropSeen(at: place, tuple: tuple, direction: prefix, pod: "?", policies: [], timeMs: timeMs)
        }
        if let service = reason.service {
            return DropSeen(
                at: place, by: .service, tuple: tuple, direction: "loadBalancerSourceRanges", pod: service,
                policies: reason.policies.map(\.description), timeMs: timeMs)
        }
        let end = reason.direction == .egress ? tuple.source : tuple.destination
        let pod = reason.pod ?? state.pods[end.address]
        return DropSeen(
            at: place, tuple: tuple, direction: reason.direction.rawValue.lowercased(),
            pod: pod.map(\.description) ?? "?", policies: reason.policies.map(\.description), timeMs: timeMs)
    }
}
