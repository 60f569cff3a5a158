import Manifests
import NIOConcurrencyHelpers
import NIOCore
import NetworkAddresses
import Proxy
import ProxyModel

/// A client in a container's place: a round of calls when it starts, and then one a second.
final class RequestsProgram: ContainerProgram {
    private struct State {
        var isStopping = false
        /// The first packet of the round may be out, and not all is recorded yet.
        var isCalling = false
        var next: Scheduled<Void>?
        var exchange: ClientExchange?
        var lines = NewestOf<String>()
        var waitingForEnd: [CheckedContinuation<Void, Never>] = []
        var waitingForLines: [CheckedContinuation<Void, Never>] = []
    }

    private static let interval = TimeAmount.seconds(1)
    /// How long a call may take: whoever waits for the round waits that long.
    private static let timeoutMs = 5_000

    private let calls: [RepeatedCall]
    private let site: ContainerSite
    private let clientSite: ClientSite
    private let loop: any EventLoop
    private let state = NIOLockedValueBox(State())

    init(_ calls: [RepeatedCall], container: String, at site: ContainerSite) {
        self.calls = calls
        self.site = site
        let owner = site.pod.credentials(container: container)
        clientSite = ClientSite(in: site.pod, uid: owner.uid, gid: owner.gid, dns: site.dns)
        loop = site.group.next()
    }

    func lines() -> [String] { state.withLockedValue { $0.lines.all } }
    func lines(after count: Int) -> (lines: [String], count: Int) {
        state.withLockedValue { ($0.lines.after(count), $0.lines.count) }
    }
    /// It takes no connections.
    func records() -> [AccessLogRecord] { [] }

    var callsUnasked: Bool { true }

    // MARK: Life

    func start() async {
        if !calls.isEmpty { await beginRound() }
    }

    /// Returns when the round under way is over.
    func settle() async {
        await withCheckedContinuation { continuation in
            let isOver = state.withLockedValue { state in
                if state.isCalling { state.waitingForEnd.append(continuation) }
                return !state.isCalling
            }
            if isOver { continuation.resume() }
        }
    }

    func stop() async {
        let (next, exchange) = state.withLockedValue { state in
            state.isStopping = true
            defer { (state.next, state.exchange) = (nil, nil) }
            return (state.next, state.exchange)
        }
        next?.cancel()
        exchange?.cancel()
        await settle()
        wakeWaiting()
    }

    private var isStopping: Bool { state.withLockedValue { $0.isStopping } }

    // MARK: Rounds

    /// Returns when the round has begun: whoever settles from then on waits for its end.
    private func beginRound() async {
        await site.untold?.flowTime.beginRound()
        let isBegun = state.withLockedValue { state in
            if !state.isStopping { state.isCalling = true }
            return state.isCalling
        }
        guard isBegun else {
            site.untold?.flowTime.endRound()
            return
        }
        Task { await self.round() }
    }

    private func round() async {
        let next = NIODeadline.now() + Self.interval
        for call in calls {
            for _ in 0..<call.count where !isStopping { await make(call) }
        }
        // What the sidecar knows of it is told now, not in the middle of a flow. One that has ended has told the lab so.
        if !isStopping { try? await site.pod.proxy?.settle() }
        site.untold?.flowTime.endRound()
        let waiting = state.withLockedValue { state in
            state.isCalling = false
            if !state.isStopping {
                state.next = loop.scheduleTask(deadline: next) { [weak self] in
                    guard let self else { return }
                    Task { await self.beginRound() }
                }
            }
            defer { state.waitingForEnd = [] }
            return state.waitingForEnd
        }
        waiting.forEach { $0.resume() }
    }

    private func make(_ call: RepeatedCall) async {
        guard let kind = ClientRequest.Kind(call.scheme) else { return }
        let target: ClientRequest.Target
        switch call.host {
        case .name(let name): target = .name(name)
        case .address(let address): target = .addresses([address])
        // Without a scenario around it, a list names none.
        case .workload: return
        }
        let request = ClientRequest(
            kind: kind, target: target, port: call.port, path: call.path, timeoutMs: Self.timeoutMs)
        let tracker = FlowTracker(recorder: site.recorder, endsEarly: false)
        let tuples = NIOLockedValueBox([FiveTuple]())
        let untold = site.untold
        let exchange = site.client.run(request, at: clientSite, on: loop) { event in
            if let untold, case .attempting(let tuple, _) = event {
                untold.clientBegins(tuple)
                tuples.withLockedValue { $0.append(tuple) }
            }
            tracker.handle(event)
        }
        tracker.attach(exchange)
        let isStopping = state.withLockedValue { state in
            state.exchange = exchange
            return state.isStopping
        }
        if isStopping { exchange.cancel() }
        // Never fails: what went wrong is in the result.
        let result = try? await exchange.result.get()
        tracker.exchangeEnded()
        tracker.finish()
        for tuple in tuples.withLockedValue({ $0 }) { untold?.clientEnded(tuple) }
        let waiting = state.withLockedValue { state in
            state.exchange = nil
            state.lines.append("\(call.url) \(Self.outcome(result))")
            defer { state.waitingForLines = [] }
            return state.waitingForLines
        }
        waiting.forEach { $0.resume() }
    }

    private static func outcome(_ result: ClientResult?) -> String {
        if let status = result?.status { return "\(status)" }
        return result?.failure?.description ?? "ok"
    }

    // MARK: Log

    func nextLine(after count: Int, within time: TimeAmount) async {
        let tick = loop.scheduleTask(in: time) { [weak self] in self?.wakeWaiting() }
        await withCheckedContinuation { continuation in
            let isThere = state.withLockedValue { state in
                if state.lines.count > count || state.isStopping { return true }
                state.waitingForLines.append(continuation)
                return false
            }
            if isThere { continuation.resume() }
        }
        tick.cancel()
    }

    private func wakeWaiting() {
        let waiting = state.withLockedValue { state in
            defer { state.waitingForLines = [] }
            return state.waitingForLines
        }
        waiting.forEach { $0.resume() }
    }
}
