/// Counts an upstream connection, once, from its start to its end.
final class UpstreamConnectionCount {
    private let counters: ClusterCounters
    private var isCounted = false

    init(_ counters: ClusterCounters) { self.counters = counters }

    func begin() {
        isCounted = true
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
    }
}
