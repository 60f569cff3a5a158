import NIOCore
import NetworkAddresses
import ProxyModel

/// Keeps the addresses of a DNS cluster's names fresh. Confined to the worker's loop.
///
/// A name is asked again when its time to live ends, or `dnsRefreshMs` after a failure, which keeps the last addresses.
final class NameResolution: @unchecked Sendable {
    /// How long the first answer may take before requests go on without it.
    static let firstAnswerDeadline = TimeAmount.seconds(5)

    private let model: Cluster
    private let resolver: any HostResolver
    private let loop: any EventLoop
    private let changed: ([(IPEndpoint, Int)]) -> Void
    private var addresses: [[IPAddress]]
    private var unanswered: Set<Int> = []
    private var timers: [Int: Scheduled<Void>] = [:]
    private var waiting: [() -> Void] = []
    private var deadline: Scheduled<Void>?
    private var isStopped = false

    init(
        _ model: Cluster, resolver: any HostResolver, loop: any EventLoop,
        changed: @escaping ([(IPEndpoint, Int)]) -> Void
    ) {
        self.model = model
        self.resolver = resolver
        self.loop = loop
        self.changed = changed
        addresses = model.endpoints.map { _ in [] }
    }

    /// Whether every name has been answered, or given up, once.
    var isComplete: Bool { unanswered.isEmpty }

    func whenComplete(_ body: @escaping () -> Void) {
        if isComplete { body() } else { waiting.append(body) }
    }

    func start() {
        for (index, endpoint) in model.endpoints.enumerated() {
            if let address = IPAddress(endpoint.host) {
                addresses[index] = [address]
            } else {
                unanswered.insert(index)
            }
        }
        publish()
        guard !unanswered.isEmpty else { return }
        deadline = loop.scheduleTask(in: Self.firstAnswerDeadline) { self.giveUpWaiting() }
        for index in unanswered.sorted() { ask(index) }
    }

    func stop() {
        isStopped = true
        for timer in timers.values { timer.cancel() }
        timers = [:]
        giveUpWaiting()
    }

    /// Asks at once for the names that have no address: what stood in the way may be gone.
    func askAgain() {
        if isStopped { return }
        for (index, endpoint) in model.endpoints.enumerated()
        where addresses[index].isEmpty && IPAddress(endpoint.host) == nil && unanswered.insert(index).inserted {
            timers.removeValue(forKey: index)?.cancel()
            ask(index)
        }
        guard !unanswered.isEmpty, deadline == nil else { return }
        deadline = loop.scheduleTask(in: Self.firstAnswerDeadline) { self.giveUpWaiting() }
    }

    private func ask(_ index: Int) {
        let host = model.endpoints[index].host
        resolver.resolve(host, families: model.dnsFamilies, on: loop).hop(to: loop).whenComplete { result in
            self.answered(index, result)
        }
    }

    private func answered(_ index: Int, _ result: Result<HostResolution, any Error>) {
        if isStopped { return }
        var delay = TimeAmount.milliseconds(Int64(model.dnsRefreshMs))
        if case .success(let resolution) = result {
            addresses[index] = resolution.addresses.filter { model.dnsFamilies.contains($0.family) }
            publish()
            if let ttl = resolution.ttlSeconds { delay = .seconds(Int64(max(ttl, 1))) }
        }
        timers[index] = loop.scheduleTask(in: delay) { self.ask(index) }
        if unanswered.remove(index) != nil, unanswered.isEmpty { giveUpWaiting() }
    }

    private func giveUpWaiting() {
        deadline?.cancel()
        deadline = nil
        unanswered = []
        let bodies = waiting
        waiting = []
        for body in bodies { body() }
    }

    /// LOGICAL_DNS uses one address at a time, STRICT_DNS all of them.
    private func publish() {
        let all = zip(model.endpoints, addresses).flatMap { endpoint, addresses in
            addresses.map { (IPEndpoint($0, endpoint.port), endpoint.weight) }
        }
        changed(model.discovery == .logicalDNS ? Array(all.prefix(1)) : all)
    }
}
