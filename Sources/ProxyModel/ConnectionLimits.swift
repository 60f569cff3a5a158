/// Envoy: `config.cluster.v3.CircuitBreakers.Thresholds`; nil is no limit, as Istio has it.
package struct CircuitBreakers: Codable, Equatable, Sendable {
    package var maxConnections: Int?
    /// Requests that wait for a connection.
    package var maxPendingRequests: Int?
    package var maxRequests: Int?
    /// Requests that are being tried again.
    package var maxRetries: Int?

    package init(
        maxConnections: Int? = nil, maxPendingRequests: Int? = nil, maxRequests: Int? = nil, maxRetries: Int? = nil
    ) {
        self.maxConnections = maxConnections
        self.maxPendingRequests = maxPendingRequests
        self.maxRequests = maxRequests
        self.maxRetries = maxRetries
    }
}

/// Envoy: `Cluster.LbPolicy`, as far as it is a choice among hosts.
package enum LoadBalancingPolicy: String, Codable, Sendable {
    case leastRequest = "LEAST_REQUEST"
    case roundRobin = "ROUND_ROBIN"
    case random = "RANDOM"
    /// By the request's hash, on a ring of the hosts' hashes.
    case ringHash = "RING_HASH"
    /// By the request's hash, in Maglev's table.
    case maglev = "MAGLEV"

    /// Whether hosts are chosen by a hash of what the client sends.
    package var isConsistentHashing: Bool { self == .ringHash || self == .maglev }
}
