import Evidence
import NIOConcurrencyHelpers
import NIOCore
import NetworkAddresses

/// Follows one flow while it lasts: which sockets its client used, and what is observed of their chains.
final class FlowTracker: Sendable {
    private struct Entry {
        var tuple: FiveTuple
        var purpose: Attempt.Purpose
        var sinceMs: Double
        var watch: EvidenceRecorder.Watch
    }

    private struct State {
        var entries: [Entry] = []
        var exchange: ClientExchange?
        /// Drops seen before the exchange was attached.
        var pending: [FiveTuple] = []
        /// True once the exchange is over: what is dropped later ends nothing any more.
        var isOver = false
        var changes = 0
        /// First packets of proxies' connections in this flow's time.
        var untold: [UntoldPacket] = []
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    private let recorder: EvidenceRecorder
    /// False: the client is to see for itself what becomes of a connection that is dropped behind its proxy.
    private let endsEarly: Bool
    private let kernel: UntoldConnections?
    private let state = NIOLockedValueBox(State())

    init(recorder: EvidenceRecorder, endsEarly: Bool = true, kernel: UntoldConnections? = nil) {
        self.recorder = recorder
        self.endsEarly = endsEarly
        self.kernel = kernel
    }

    func attach(_ exchange: ClientExchange) {
        let pending = state.withLockedValue { state in
            state.exchange = exchange
            defer { state.pending = [] }
            return state.pending
        }
        for tuple in pending { end(tuple, with: exchange) }
    }

    /// Called by the client, before the first packet of each socket.
    func handle(_ event: ClientEvent) {
        if case .connected(let tuple) = event { kernel?.connected(tuple) }
        guard case .attempting(let tuple, let purpose) = event else { return }
        kernel?.clientBegins(tuple)
        let since = recorder.nowMs
        let watch = recorder.watch(tuple) { [weak self] in self?.observed($0, root: tuple) }
        state.withLockedValue {
            $0.entries.append(
                Entry(tuple: tuple, purpose: purpose == .resolve ? .resolve : .exchange, sinceMs: since, watch: watch))
        }
    }

    /// A proxy sent the first packet of a connection.
    func note(_ packet: UntoldPacket) { state.withLockedValue { $0.untold.append(packet) } }

    /// A program on some flow's way wrote what became of a connection.
    func noteLine() { signal() }

    var untold: [UntoldPacket] { state.withLockedValue { $0.untold } }

    /// A proxy's packet was dropped that no connection of this flow can be found for: no answer will come.
    func proxyDropped() {
        let exchange = state.withLockedValue { $0.isOver ? nil : $0.exchange }
        if endsEarly { exchange?.cancel() }
    }

    private func observed(_ observation: Observation, root: FiveTuple) {
        var exchange: ClientExchange?
        var dropped: FiveTuple?
        state.withLockedValue { state in
            if case .drop(let drop) = observation, !state.isOver {
                // A drop of the client's own packet ends this attempt; one further on ends what depends on it.
                dropped = SocketKey(drop.tuple) == SocketKey(root) ? root : drop.tuple
                exchange = state.exchange
                if exchange == nil, let dropped { state.pending.append(dropped) }
            }
        }
        if let exchange, let dropped { end(dropped, with: exchange) }
        signal()
    }

    private func end(_ tuple: FiveTuple, with exchange: ClientExchange) {
        let isOwn = state.withLockedValue { $0.entries.contains { $0.tuple == tuple } }
        if isOwn {
            exchange.attemptDropped(tuple)
        } else if endsEarly {
            exchange.cancel()
        }
    }

    /// Says that the client has finished; its connection may be held open.
    func exchangeEnded() { state.withLockedValue { $0.isOver = true } }

    /// How many observations there were so far.
    var changes: Int { state.withLockedValue { $0.changes } }

    /// Returns when there were more than `count` observations; the deadline counts as one.
    func change(after count: Int, until deadline: ContinuousClock.Instant, on loop: any EventLoop) async {
        let left = max(.zero, deadline - .now).components
        let tick = loop.scheduleTask(in: .nanoseconds(left.seconds * 1_000_000_000 + left.attoseconds / 1_000_000_000))
        { self.signal() }
        await withCheckedContinuation { continuation in
            let isPast = state.withLockedValue { state in
                if state.changes > count { return true }
                state.waiters.append(continuation)
                return false
            }
            if isPast { continuation.resume() }
        }
        tick.cancel()
    }

    private func signal() {
        let waiters = state.withLockedValue { state in
            state.changes += 1
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    /// The chains as they stand.
    func attempts() -> [Attempt] {
        state.withLockedValue { $0.entries }.map {
            Attempt(purpose: $0.purpose, hop: recorder.hop(for: $0.tuple, sinceMs: $0.sinceMs))
        }
    }

    func finish() {
        for entry in state.withLockedValue({ $0.entries }) {
            recorder.unwatch(entry.watch)
            kernel?.clientEnded(entry.tuple)
        }
    }
}
