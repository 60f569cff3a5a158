import DNS
import Evidence
import Mesh
import NIOConcurrencyHelpers
import Netlink
import NetworkAddresses
import Proxy
import ProxyModel

/// What proxies leave out that tell of a connection only once it stands, taken from the kernel instead.
///
/// The first packet of a connection that came to nothing was logged at the boundary or dropped all the same. Flows are
/// sent one after the other, so it belongs to the one connection that the flow has in that pod's proxy; where there is
/// not exactly one, it belongs to nobody, and the flow is inconclusive. A client that never says what its proxy waits for
/// has no record at all; then the kernel tells whose socket its connection ends at. So it does of a proxy that is such a
/// client of another one.
final class UntoldConnections: Sendable {
    /// Tells a connection's first packet from that of a later connection with the same ports.
    private struct Opening: Hashable {
        let tuple: FiveTuple
        let sequence: UInt32
    }

    /// The proxy whose socket a client's connection ends at.
    private struct End {
        let pod: RunningPod
        let timeMs: Double
        /// Whose time it fell in, where another proxy made the connection.
        var flow: FlowTracker?
    }

    private struct State {
        var pods: [IPAddress: RunningPod] = [:]
        /// Sockets of flows' clients: their packets are no proxy's.
        var clients: Set<SocketKey> = []
        var openings: Set<Opening> = []
        /// In the order in which they came: the kernel gives a connection up long before so many later ones.
        var newestOpenings = NewestOf<Opening>(limit: 10_000)
        var flow: FlowTracker?
        var ends: [FiveTuple: End] = [:]
        /// By pod and start.
        var diagnostics: [String: SocketDiagnostics] = [:]
        var adopted: UInt64 = 0
    }

    private let recorder: EvidenceRecorder
    /// What programs in containers' places do.
    let programs: ProgramConnections
    /// Keeps calls that are no flow's out of flows' time.
    let flowTime = FlowTime()
    /// Proxies tell of each connection themselves: only programs are left.
    private let proxiesTell: Bool
    private let state = NIOLockedValueBox(State())

    init(recorder: EvidenceRecorder, proxiesTell: Bool) {
        self.recorder = recorder
        self.proxiesTell = proxiesTell
        programs = ProgramConnections(recorder: recorder)
    }

    /// From now on these pods run; only those with a proxy or a program matter.
    func watch(_ pods: [RunningPod]) {
        programs.watch(pods)
        let told = pods.filter { pod in
            pod.plan.proxy != nil && !proxiesTell || pod.plan.containers.contains(where: \.isMachineProgram)
        }
        let addresses = told.flatMap { pod in
            pod.plan.pod.addresses.map { ($0, pod) }
        }
        let starts = Set(pods.map { "\($0.id)~\($0.generation)" })
        state.withLockedValue { state in
            state.pods = Dictionary(addresses) { $1 }
            state.diagnostics = state.diagnostics.filter { starts.contains($0.key) }
        }
    }

    // MARK: Flows

    /// What is seen from now on until `end` is of this flow.
    func begin(_ flow: FlowTracker) {
        programs.begin(flow)
        state.withLockedValue { $0.flow = flow }
    }

    func end(_ flow: FlowTracker) {
        state.withLockedValue { if $0.flow === flow { $0.flow = nil } }
    }

    func clientBegins(_ tuple: FiveTuple) { _ = state.withLockedValue { $0.clients.insert(SocketKey(tuple)) } }

    func clientEnded(_ tuple: FiveTuple) {
        programs.clientEnded(tuple)
        state.withLockedValue {
            $0.clients.remove(SocketKey(tuple))
            $0.ends[tuple] = nil
        }
    }

    // MARK: Packets

    /// A packet was logged. To be called before it is recorded as evidence: a lookup must be known before its drop.
    func notice(_ packet: LoggedPacket, wasDropped: Bool) {
        guard let tuple = packet.tuple, let pod = owner(of: tuple) else { return }
        if tuple.transport == .udp, tuple.destination.port == LabConstants.dnsPort,
            let question = DNSMessage.question(packet.payload)
        {
            return lookedUp(question.name, tuple, pod)
        }
        guard let flags = packet.tcpFlags, flags.contains(.syn), !flags.contains(.ack),
            let sequence = packet.tcpSequence
        else { return }
        let flow: FlowTracker? = state.withLockedValue { state in
            // The kernel sends it again and again; only the first is news, and of that flow in whose time it falls.
            let opening = Opening(tuple: tuple, sequence: sequence)
            guard state.openings.insert(opening).inserted else { return nil }
            if let oldest = state.newestOpenings.append(opening) { state.openings.remove(oldest) }
            return state.flow
        }
        guard let flow else { return }
        flow.note(UntoldPacket(tuple: tuple, pod: pod, timeMs: recorder.nowMs))
        if wasDropped { Task { await self.endEarly(flow, pod) } }
    }

    /// A DNS server was asked.
    func notice(question name: String, _ tuple: FiveTuple) {
        if let pod = owner(of: tuple) { lookedUp(name, tuple, pod) }
    }

    private func lookedUp(_ name: String, _ tuple: FiveTuple, _ pod: RunningPod) {
        recorder.record(.proxyLookup(ProxyLookup(pod: "\(pod.id)", host: name, tuple: tuple, timeMs: recorder.nowMs)))
    }

    /// The pod whose proxy has sent it.
    private func owner(of tuple: FiveTuple) -> RunningPod? {
        state.withLockedValue { $0.clients.contains(SocketKey(tuple)) ? nil : $0.pods[tuple.source.address] }
    }

    /// The proxy's packet was dropped: as soon as it is known which connection that was for, the flow is over.
    private func endEarly(_ flow: FlowTracker, _ pod: RunningPod) async {
        try? await pod.settle()
        if !attribute(flow).isEmpty { flow.proxyDropped() }
    }

    /// Records the connections of the flow that its packets show and its proxies did not tell of; returns those that
    /// can't be told whose they were. Meaningful when the proxies have settled.
    @discardableResult
    func attribute(_ flow: FlowTracker) -> [FiveTuple] {
        programs.adopt(flow)
        defer { programs.assign() }
        var left: [FiveTuple] = []
        for packet in flow.untold {
            guard !recorder.isTold(packet.tuple, sinceMs: packet.timeMs) else { continue }
            let candidates = flow.attempts().flatMap(\.hop.allProxies).filter {
                !proxiesTell || programs.isOwn($0.connection)
            }
            let question = PacketOwner(
                tuple: packet.tuple, pod: "\(packet.pod.id)", generation: packet.pod.generation,
                timeMs: packet.timeMs)
            guard let owner = question.connection(among: candidates, leads: recorder.leads) else {
                left.append(packet.tuple)
                continue
            }
            recorder.record(
                .proxyConnecting(
                    ProxyConnecting(connection: owner, tuple: packet.tuple, cluster: "", timeMs: recorder.nowMs)))
        }
        return left
    }

    // MARK: Clients that wait

    /// A client's connection stands: asks at once whose socket it ends at, because it may be gone in a moment.
    func connected(_ tuple: FiveTuple) {
        programs.connected(tuple)
        let pods = state.withLockedValue { $0.pods }
        let loopback = IPAddress.loopback(tuple.source.address.family)
        var places = pods[tuple.source.address].map { [(pod: $0, local: loopback)] } ?? []
        for target in recorder.targets(of: tuple.destination) {
            if let pod = pods[target.address] { places.append((pod, target.address)) }
        }
        for place in places where hasProxy(place.pod, at: place.local, for: tuple.source) {
            return state.withLockedValue { $0.ends[tuple] = End(pod: place.pod, timeMs: recorder.nowMs) }
        }
    }

    /// A proxy's connection stands: asks the same of it.
    func proxyConnected(_ tuple: FiveTuple) {
        let (pods, flow) = state.withLockedValue { ($0.pods, $0.flow) }
        guard !proxiesTell, let flow else { return }
        let maker = pods[tuple.source.address]
        for target in recorder.targets(of: tuple.destination) {
            guard let pod = pods[target.address] else { continue }
            // What a pod's proxy sends to the pod itself is turned round on its loopback.
            let isOwn = maker.map { $0.id == pod.id } ?? false
            let local = isOwn ? IPAddress.loopback(target.address.family) : target.address
            guard hasProxy(pod, at: local, for: tuple.source) else { continue }
            return state.withLockedValue { $0.ends[tuple] = End(pod: pod, timeMs: recorder.nowMs, flow: flow) }
        }
    }

    /// True if the pod's proxy listens at `local` and holds, or has waiting, the connection from `peer`.
    private func hasProxy(_ pod: RunningPod, at local: IPAddress, for peer: IPEndpoint) -> Bool {
        let listeners = pod.plan.proxy?.listeners.filter(\.bindToPort).flatMap(\.addresses) ?? []
        let any = IPEndpoint(local.family == .ipv4 ? .anyIPv4 : .anyIPv6, 0)
        // A kernel that can't be asked proves nothing: then the flow stays without evidence.
        guard let kernel = try? diagnostics(of: pod) else { return false }
        return Set(listeners.map(\.port)).contains { port in
            let end = IPEndpoint(local, port)
            guard let connection = try? kernel.tcp(from: end, to: peer), connection.isConnected,
                let listener = try? kernel.tcp(from: end, to: any)
            else { return false }
            return listener.isListening && listener.uid == pod.proxyOwner.uid
        }
    }

    private func diagnostics(of pod: RunningPod) throws -> SocketDiagnostics {
        let key = "\(pod.id)~\(pod.generation)"
        if let known = state.withLockedValue({ $0.diagnostics[key] }) { return known }
        let made = try pod.namespace.enter { try SocketDiagnostics() }
        state.withLockedValue { $0.diagnostics[key] = made }
        return made
    }

    /// Records that a proxy took those connections of the flow of which it has nothing to tell. To be called when the
    /// client has closed its own and the proxies have settled: then nothing will be told any more.
    func adopt(_ flow: FlowTracker) {
        defer { state.withLockedValue { state in state.ends = state.ends.filter { $0.value.flow !== flow } } }
        for hop in flow.attempts().flatMap(\.hop.unexplainedEnds) where hop.served.isEmpty {
            let tuple = hop.tuple
            guard
                let (end, number) = state.withLockedValue({ state in
                    state.ends.removeValue(forKey: tuple).map { end in
                        state.adopted += 1
                        return (end, UInt64.max - state.adopted)
                    }
                }), let node = end.pod.plan.proxy?.node
            else { continue }
            // Numbers from the end, which no proxy gets to.
            let connection = ProxyConnection(number, of: node, generation: end.pod.generation)
            recorder.record(
                .proxyAccepted(ProxyAccepted(connection: connection, tuple: tuple, timeMs: end.timeMs)))
            recorder.record(.proxyClosed(connection))
        }
    }
}

/// The first packet of a connection that a pod's proxy made.
struct UntoldPacket: Sendable {
    let tuple: FiveTuple
    let pod: RunningPod
    let timeMs: Double
}

extension Hop {
    /// The ends of chains that no proxy before them gives a reason for.
    fileprivate var unexplainedEnds: [Hop] {
        if proxied.isEmpty { return [self] }
        return proxied.filter { $0.records.allSatisfy(\.explanation.isEmpty) }
            .flatMap { $0.upstream.flatMap(\.unexplainedEnds) }
    }
}

extension IPAddress {
    fileprivate static func loopback(_ family: IPFamily) -> IPAddress {
        family == .ipv4 ? .loopbackIPv4 : .loopbackIPv6
    }
}
