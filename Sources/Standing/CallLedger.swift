package import Evidence
import Foundation
import Mesh
import NetworkAddresses
import Synchronization

/// Who called whom in a lab that stays up, counted from what proxies and the kernel record.
///
/// Nothing else is kept of the records, so that a lab may stay up for days.
package final class CallLedger: Sendable {
    /// Calls that look the same.
    struct Call: Hashable, Sendable {
        /// `NAMESPACE/WORKLOAD`.
        var source: String
        /// The host that was asked for, or the address where no name was told.
        var destination: String
        /// `sidecar`, `sidecar → gateway istio-system/istio-egressgateway`, or why no proxy was passed.
        var way: String
        /// The status of a request; nil: a connection whose bytes nobody looked into.
        var code: Int?
        /// Envoy's response flags.
        var flags: String
    }

    struct Count: Sendable {
        var calls = 0
        var last = Date.distantPast
    }

    private struct State {
        var counts: [Call: Count] = [:]
        var pods: [IPAddress: String] = [:]
        var workloads: [String: String] = [:]
        /// Those of the plan in force. The others have the one before, too: of pods that are just gone there may be
        /// something to hear yet.
        var planned: (pods: [IPAddress: String], workloads: [String: String]) = ([:], [:])
        /// Gateways by the names of the Services before them.
        var gateways: [String: String] = [:]
        /// First packets of flows that left the cluster and that no proxy has told of yet, in order.
        var untold: [FiveTuple: Date] = [:]
        var told: Set<FiveTuple> = []
        var changes: [UUID: AsyncStream<Void>.Continuation] = [:]
    }

    /// More kinds of calls, or of packets under way, than a person looks at.
    private static let limit = 10_000

    private let state = Mutex(State())

    /// Takes the names of pods, workloads and gateways from the plan in force.
    func follow(_ plan: LabPlan) {
        state.withLock { state in
            var (pods, workloads): ([IPAddress: String], [String: String]) = ([:], [:])
            state.gateways = [:]
            for pod in plan.pods.map(\.pod) {
                let workload = "\(pod.id.namespace)/\(pod.workload)"
                workloads["\(pod.id)"] = workload
                for address in pod.addresses { pods[address] = workload }
                if pod.isRouter { state.gateways["\(pod.workload).\(pod.id.namespace)"] = workload }
            }
            state.pods = state.planned.pods.merging(pods) { $1 }
            state.workloads = state.planned.workloads.merging(workloads) { $1 }
            state.planned = (pods, workloads)
        }
    }

    /// Counts what an observer saw.
    package func record(_ observation: Observation) {
        let listeners: [AsyncStream<Void>.Continuation] = state.withLock { state in
            switch observation {
            case .proxyRecord(let record): Self.add(record, to: &state)
            case .proxyConnecting(let use): Self.tell(use.tuple, to: &state)
            case .packet(let packet) where packet.place == .boundary: Self.add(packet, to: &state)
            case .drop(let drop): Self.add(drop, to: &state)
            default: return []
            }
            return Array(state.changes.values)
        }
        for listener in listeners { listener.yield() }
    }

    /// All calls up to now, those of the same source together.
    func calls() -> [(call: Call, count: Count)] {
        state.withLock { state in
            var counts = state.counts
            for (tuple, time) in state.untold {
                guard let source = state.pods[tuple.source.address] else { continue }
                let call = Call(
                    source: source, destination: "\(tuple.destination)", way: "none: past every proxy", code: nil,
                    flags: "\(tuple.transport)")
                var count = counts[call] ?? Count()
                count.calls += 1
                count.last = max(time, count.last)
                counts[call] = count
            }
            return counts.map { ($0.key, $0.value) }
                .sorted {
                    ($0.0.source, $0.0.destination, $0.0.way, $0.0.code ?? 0, $0.0.flags)
                        < ($1.0.source, $1.0.destination, $1.0.way, $1.0.code ?? 0, $1.0.flags)
                }
        }
    }

    /// Yields at every change from now on; several at once are one.
    func changes() -> AsyncStream<Void> {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let number = UUID()
        state.withLock { $0.changes[number] = continuation }
        continuation.onTermination = { [weak self] _ in self?.state.withLock { $0.changes[number] = nil } }
        return stream
    }

    /// Has those who wait for changes look again.
    func wake() {
        for listener in state.withLock({ Array($0.changes.values) }) { listener.yield() }
    }

    // MARK: Counting

    private static func add(_ record: ProxyRecord, to state: inout State) {
        let cluster = record.upstreamCluster ?? ""
        // What came in is counted where it went out.
        if cluster.hasPrefix("inbound|") || cluster == "InboundPassthroughCluster" { return }
        let fields = record.fields
        func given(_ key: String) -> String? { fields[key].flatMap { $0 == "-" ? nil : $0 } }
        let destination =
            given("authority") ?? given("requested_server_name") ?? given("downstream_local_address")
            ?? given("upstream_host") ?? "-"
        let host = cluster.split(separator: "|", omittingEmptySubsequences: false).last.map(String.init) ?? ""
        let gateway = state.gateways.first { host == $0.key || host.hasPrefix("\($0.key).svc") }?.value
        let call = Call(
            source: state.workloads[record.connection.pod] ?? record.connection.pod, destination: destination,
            way: record.connection.role + (gateway.map { " → gateway \($0)" } ?? ""),
            code: record.isHTTP ? record.responseCode : nil,
            flags: record.responseFlags.isEmpty
                ? cluster == "BlackHoleCluster" ? "UH" : "-" : record.responseFlags.joined(separator: ","))
        count(call, in: &state)
    }

    private static func add(_ drop: DropSeen, to state: inout State) {
        let source = state.pods[drop.tuple.source.address] ?? "\(drop.tuple.source.address)"
        count(
            Call(
                source: source, destination: "\(drop.tuple.destination)", way: "dropped by \(drop.at)", code: nil,
                flags: drop.policies.isEmpty ? "-" : drop.policies.joined(separator: "; ")), in: &state)
    }

    private static func count(_ call: Call, in state: inout State) {
        guard state.counts[call] != nil || state.counts.count < limit else { return }
        state.counts[call, default: Count()].calls += 1
        state.counts[call]?.last = Date()
    }

    private static func add(_ packet: PacketSeen, to state: inout State) {
        guard state.told.remove(packet.tuple) == nil, state.untold.count < limit else { return }
        state.untold[packet.tuple] = Date()
    }

    /// The connection is a proxy's: its packets have passed one.
    private static func tell(_ tuple: FiveTuple, to state: inout State) {
        guard state.untold.removeValue(forKey: tuple) == nil else { return }
        // The packet may be heard of later than the proxy.
        if state.told.count >= limit { state.told.removeAll() }
        state.told.insert(tuple)
    }
}
