import NIOCore
import NetworkAddresses

/// The addresses that clients dialled themselves (Envoy: `OriginalDstCluster`). Confined to the worker's loop.
final class OriginalHosts: @unchecked Sendable {
    /// Confined to the loop, as all of it is.
    private final class Entry {
        let host: UpstreamHost
        /// Chosen since hosts were last looked through.
        var isFresh = true

        init(_ host: UpstreamHost) { self.host = host }
    }

    /// Envoy: `cleanup_interval`.
    static let cleanupInterval = TimeAmount.seconds(5)
    private static let limit = 1024

    private let loop: any EventLoop
    private let interval: TimeAmount
    private let forgotten: (UpstreamHost) -> Void
    private var entries: [IPEndpoint: Entry] = [:]
    private var timer: RepeatedTask?

    /// - Parameter forgotten: called with each host that is no longer of the cluster.
    init(
        loop: any EventLoop, interval: TimeAmount = OriginalHosts.cleanupInterval,
        forgotten: @escaping (UpstreamHost) -> Void
    ) {
        self.loop = loop
        self.interval = interval
        self.forgotten = forgotten
    }

    var hosts: [UpstreamHost] { entries.values.map(\.host) }

    /// The host at an address, whatever its health: it is the client who chooses.
    func host(at endpoint: IPEndpoint) -> UpstreamHost {
        if let entry = entries[endpoint] {
            entry.isFresh = true
            return entry.host
        }
        if entries.count >= Self.limit { drop { $0.host.isUnused } }
        let entry = Entry(UpstreamHost(endpoint))
        entries[endpoint] = entry
        if timer == nil {
            timer = loop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { [weak self] _ in
                self?.cleanUp()
            }
        }
        return entry.host
    }

    /// Forgets all of them; what is in progress goes on.
    func retire() { drop { _ in true } }

    /// Forgets what nobody has dialled for an interval.
    private func cleanUp() {
        drop { !$0.isFresh && $0.host.isUnused }
        for entry in entries.values { entry.isFresh = false }
    }

    private func drop(_ isOver: (Entry) -> Bool) {
        for (endpoint, entry) in entries where isOver(entry) {
            entries[endpoint] = nil
            forgotten(entry.host)
            entry.host.retire()
        }
        guard entries.isEmpty else { return }
        timer?.cancel()
        timer = nil
    }
}
