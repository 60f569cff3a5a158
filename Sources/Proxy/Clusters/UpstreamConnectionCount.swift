/// Counts an upstream connection, once, from its start to its end.
final class UpstreamConnectionCount {
    private let counters: ClusterCounters
    private let host: UpstreamHost
    private var isCounted = false

    init(_ counters: ClusterCounters, host: UpstreamHost) {
        self.counters = counters
        self.host = host
    }

    func begin() {
        isCounted = true
        host.connections += 1
        counters.connections.add()
        counters.activeConnections.add()
    }

    /// The connection could not be made.
    func fail(_ failure: ConnectFailure) {
        if isCounted, !failure.isCancelled {
            counters.connectFailures.add()
            if failure.isTimeout { counters.connectTimeouts.add() }
        }
        end()
    }

    func end() {
        guard isCounted else { return }
        isCounted = false
        counters.activeConnections.subtract()
        host.connections -= 1
        host.wakeWaiting()
    }
}
