import ProxyModel

/// What a cluster's circuit breakers count. Confined to the worker's loop.
struct ClusterLoad {
    /// Requests without a connection.
    var pending = 0
    /// Requests on a connection.
    var requests = 0
    /// Requests that are being tried again.
    var retries = 0
}

extension ClusterRuntime {
    /// Whether the cluster has all the connections that it may have.
    var isFull: Bool {
        guard let limit = model.circuitBreakers?.maxConnections else { return false }
        return counters.activeConnections.value >= UInt64(max(limit, 0))
    }

    var admitsPending: Bool { load.pending < model.circuitBreakers?.maxPendingRequests ?? .max }
    var admitsRequest: Bool { load.requests < model.circuitBreakers?.maxRequests ?? .max }

    /// - Parameter own: how many retries the request that asks has itself.
    func admitsRetry(besides own: Int) -> Bool { load.retries - own < model.circuitBreakers?.maxRetries ?? .max }
}
