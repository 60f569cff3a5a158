/// The counters of a cluster (observability: Envoy stats).
final class ClusterCounters {
    let connections: Counter
    let activeConnections: Counter
    let connectFailures: Counter
    let connectTimeouts: Counter
    let noneHealthy: Counter
    let sentBytes: Counter
    let receivedBytes: Counter
    let requests: Counter
    let timeouts: Counter
    let retries: Counter
    let pendingFailures: Counter
    let connectionOverflow: Counter
    let pendingOverflow: Counter
    let requestOverflow: Counter
    let retryOverflow: Counter
    let exhausted: Counter
    let idleTimeouts: Counter
    let durationReached: Counter
    let responses: ResponseCounters

    init(_ statistics: ProxyStatistics, cluster: String) {
        let counter = { (name: String) in statistics.counter("cluster.\(cluster).upstream_\(name)") }
        connections = counter("cx_total")
        activeConnections = counter("cx_active")
        connectFailures = counter("cx_connect_fail")
        connectTimeouts = counter("cx_connect_timeout")
        noneHealthy = counter("cx_none_healthy")
        sentBytes = counter("cx_tx_bytes_total")
        receivedBytes = counter("cx_rx_bytes_total")
        requests = counter("rq_total")
        timeouts = counter("rq_timeout")
        retries = counter("rq_retry")
        pendingFailures = counter("rq_pending_failure_eject")
        connectionOverflow = counter("cx_overflow")
        pendingOverflow = counter("rq_pending_overflow")
        requestOverflow = counter("rq_active_overflow")
        retryOverflow = counter("rq_retry_overflow")
        exhausted = counter("cx_max_requests")
        idleTimeouts = counter("cx_idle_timeout")
        durationReached = counter("cx_max_duration_reached")
        responses = ResponseCounters(statistics, prefix: "cluster.\(cluster).upstream_rq_", countsCodes: true)
    }
}
