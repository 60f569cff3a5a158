/// Counts an upstream connection, once, from its start to its end. Confined to the worker's loop.
final class UpstreamConnectionCount: @unchecked Sendable {
    private let counters: ClusterCounters
    private let host: UpstreamHost
    /// A connection that serves one client counts as the host's work, one of a pool as what there is for requests.
    private let isPooled: Bool
    private var isCounted = false

    init(_ counters: ClusterCounters, host: UpstreamHost, isPooled: Bool = true) {
        self.counters = counters
        self.host = host
        self.isPooled = isPooled
    }

    func begin() {
        isCounted = true
        if isPooled { host.connections += 1 } else { host.active += 1 }
        host.counted.active += 1
        host.counted.connections += 1
        counters.connections.add()
        counters.activeConnections.add()
    }

    /// The connection could not be made.
    func fail(_ failure: ConnectFailure) {
        if isCounted, !failure.isCancelled {
            host.counted.connectFailures += 1
            counters.connectFailures.add()
            if failure.isTimeout { counters.connectTimeouts.add() }
        }
        end()
    }

    func end() {
        guard isCounted else { return }
        isCounted = false
        host.counted.active -= 1
        counters.activeConnections.subtract()
        if isPooled { host.connections -= 1 } else { host.active -= 1 }
        host.wakeWaiting()
    }
}
