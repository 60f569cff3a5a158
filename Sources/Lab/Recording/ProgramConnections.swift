import Evidence
import Mesh
import NIOConcurrencyHelpers
import Netlink
import NetworkAddresses
import Proxy
import ProxyModel

/// What programs in containers' places do with connections, from what others see of it: they tell nothing themselves.
///
/// That a connection has come to one is known from whoever made it, and from the kernel, which tells that the program
/// listens there. What it connects to is known from the packets (`UntoldConnections`), and an SNI proxy's reasons from
/// its log. Flows are sent one after the other, so a line belongs to the flow's one connection; where there is not
/// exactly one, it belongs to nobody.
final class ProgramConnections: Sendable {
    private struct Key: Hashable {
        let pod: PodID
        let generation: Int
        let container: String
    }

    private struct State {
        /// Connections to programs that have no end yet, by program, in their order.
        var open: [Key: [ProxyConnection]] = [:]
        /// Lines of the present flow's time that no connection was found for so far.
        var lines: [(key: Key, record: AccessLogRecord)] = []
        var flow: FlowTracker?
        var pods: [String: RunningPod] = [:]
        var diagnostics: [String: SocketDiagnostics] = [:]
        var last: UInt64 = 0
        /// Connections of the present flow that have reached servers, which forward nothing.
        var servers: [FiveTuple: String] = [:]
        /// Connections of clients that stood.
        var connected: Set<FiveTuple> = []
        /// Connections that are some program's.
        var own: Set<ProxyConnection> = []
    }

    private let recorder: EvidenceRecorder
    private let state = NIOLockedValueBox(State())

    init(recorder: EvidenceRecorder) { self.recorder = recorder }

    func watch(_ pods: [RunningPod]) {
        let backed = pods.filter { $0.plan.containers.contains(where: \.isMachineProgram) }
        state.withLockedValue { $0.pods = Dictionary(backed.map { ("\($0.id)", $0) }) { $1 } }
    }

    /// What is logged from now on is of this flow, until the next begins.
    func begin(_ flow: FlowTracker) {
        state.withLockedValue { state in
            state.flow = flow
            state.lines = []
            state.servers = [:]
        }
    }

    /// A client's connection stands.
    func connected(_ tuple: FiveTuple) { _ = state.withLockedValue { $0.connected.insert(tuple) } }

    func clientEnded(_ tuple: FiveTuple) { _ = state.withLockedValue { $0.connected.remove(tuple) } }

    func isOwn(_ connection: ProxyConnection) -> Bool { state.withLockedValue { $0.own.contains(connection) } }

    /// A program wrote what became of a connection.
    func logged(_ record: AccessLogRecord, by pod: RunningPod, container: String) {
        let key = Key(pod: pod.id, generation: pod.generation, container: container)
        let flow = state.withLockedValue { state in
            state.lines.append((key, record))
            return state.flow
        }
        flow?.noteLine()
    }

    // MARK: What came

    /// Records the connections of the flow that have reached a program.
    func adopt(_ flow: FlowTracker) {
        for attempt in flow.attempts() {
            // One that never stood has reached nobody.
            let tuple = attempt.hop.tuple
            guard !attempt.hop.proxied.isEmpty || state.withLockedValue({ $0.connected.contains(tuple) }) else {
                continue
            }
            adopt(attempt.hop, from: nil)
        }
    }

    /// - Parameter pod: whose proxy made the connection; nil for the client's own.
    private func adopt(_ hop: Hop, from pod: String?) {
        for proxied in hop.proxied where !proxied.records.contains(where: { $0.responseFlags.contains("UF") }) {
            for upstream in proxied.upstream { adopt(upstream, from: proxied.connection.pod) }
        }
        // A kept connection has been seen before, in another flow's time.
        guard hop.proxied.isEmpty, !hop.served.contains(where: { $0.stage == .request }), hop.tuple.transport == .tcp,
            let (program, destination) = program(at: hop.tuple.destination, from: pod)
        else { return }
        take(FiveTuple(.tcp, from: hop.tuple.source, to: destination), program, isKept: !hop.served.isEmpty)
    }

    private struct Program {
        let key: Key
        let pod: RunningPod
        let plan: MachineProgramPlan
    }

    /// The program that a connection to `destination` ends at.
    private func program(at destination: IPEndpoint, from pod: String?) -> (Program, IPEndpoint)? {
        let pods = state.withLockedValue { $0.pods }
        for target in recorder.targets(of: destination) {
            let candidates =
                target.address.isLoopback
                ? pod.flatMap { pods[$0] }.map { [$0] } ?? []
                : pods.values.filter { $0.plan.pod.addresses.contains(target.address) }
            for candidate in candidates {
                for container in candidate.plan.containers {
                    guard case .machine(let plan) = container.program, plan.ports.contains(target.port),
                        isListening(candidate, container.name, at: target)
                    else { continue }
                    let key = Key(pod: candidate.id, generation: candidate.generation, container: container.name)
                    return (Program(key: key, pod: candidate, plan: plan), target)
                }
            }
        }
        return nil
    }

    /// True if the kernel has the program's own socket listening there.
    private func isListening(_ pod: RunningPod, _ container: String, at end: IPEndpoint) -> Bool {
        let any = IPEndpoint(end.address.family == .ipv4 ? .anyIPv4 : .anyIPv6, 0)
        // A kernel that can't be asked proves nothing: then the flow stays without evidence.
        guard let kernel = try? diagnostics(of: pod), let listener = try? kernel.tcp(from: end, to: any) else {
            return false
        }
        return listener.isListening && listener.uid == pod.credentials(container: container).uid
    }

    private func diagnostics(of pod: RunningPod) throws -> SocketDiagnostics {
        let key = "\(pod.id)~\(pod.generation)"
        if let known = state.withLockedValue({ $0.diagnostics[key] }) { return known }
        let made = try pod.namespace.enter { try SocketDiagnostics() }
        state.withLockedValue { $0.diagnostics[key] = made }
        return made
    }

    private func take(_ tuple: FiveTuple, _ program: Program, isKept: Bool) {
        guard program.plan.sniServer != nil else {
            let site = "pod \(program.pod.id), \(program.plan.command.first ?? program.key.container)"
            state.withLockedValue { $0.servers[tuple] = site }
            if !isKept {
                recorder.record(.served(Served(stage: .accepted, at: site, tuple: tuple, timeMs: recorder.nowMs)))
            }
            return
        }
        let node = program.pod.sniProxyNode
        let connection = state.withLockedValue { state in
            state.last += 1
            // Numbers from the end, which no proxy gets to.
            let connection = ProxyConnection(
                UInt64.max / 2 - state.last, of: node, generation: program.pod.generation)
            state.own.insert(connection)
            state.open[program.key, default: []].append(connection)
            return connection
        }
        recorder.record(
            .proxyAccepted(ProxyAccepted(connection: connection, tuple: tuple, timeMs: recorder.nowMs)))
        // One that writes nothing has nothing to wait for.
        if NginxImage(program.plan)?.isHeard != true { end(connection, of: program.key) }
    }

    /// The flow's client got an answer. A server does not tell what it was asked, its answer does: unless a proxy on
    /// the way has answered in its place.
    func answered(_ flow: FlowTracker) {
        let isTheirs = flow.attempts().flatMap(\.hop.allProxies).flatMap(\.records).allSatisfy {
            $0.responseFlags.isEmpty && $0.routeName != "block_all" && $0.responseCodeDetails != "direct_response"
        }
        guard isTheirs else { return }
        let servers = state.withLockedValue { state in
            defer { state.servers = [:] }
            return state.servers
        }
        for (tuple, site) in servers {
            for stage in [Served.Stage.clientHello, .request, .data] {
                recorder.record(.served(Served(stage: stage, at: site, tuple: tuple, timeMs: recorder.nowMs)))
            }
        }
    }

    // MARK: What became of it

    /// Gives the lines to the connections they are about.
    func assign() {
        let ended = state.withLockedValue { state -> [(Key, ProxyConnection, AccessLogRecord)] in
            var result: [(Key, ProxyConnection, AccessLogRecord)] = []
            for (key, lines) in Dictionary(grouping: state.lines, by: \.key) {
                guard let open = state.open[key], open.count == 1, lines.count == 1 else { continue }
                result.append((key, open[0], lines[0].record))
                state.lines.removeAll { $0.key == key }
            }
            return result
        }
        for (key, connection, record) in ended {
            recorder.record(
                .proxyRecord(
                    ProxyRecord(
                        connection: connection, isHTTP: false, responseCode: record.responseCode,
                        responseFlags: record.responseFlags, responseCodeDetails: nil, upstreamCluster: nil,
                        routeName: nil, fields: record.jsonFields, origin: nil, timeMs: recorder.nowMs)))
            end(connection, of: key)
        }
    }

    private func end(_ connection: ProxyConnection, of key: Key) {
        state.withLockedValue { state in state.open[key]?.removeAll { $0 == connection } }
        recorder.record(.proxyClosed(connection))
    }
}
