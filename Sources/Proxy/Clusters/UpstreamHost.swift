import NetworkAddresses

/// One address of a cluster, with its kept connections. Confined to the worker's loop.
final class UpstreamHost: @unchecked Sendable {
    let endpoint: IPEndpoint
    let weight: Int
    /// Connections and requests in progress.
    var active = 0
    /// For HTTP, those that are being made included.
    var connections = 0
    /// For smooth weighted round robin.
    var credit = 0
    private var idle: [HTTPUpstreamConnection] = []
    /// Requests that may not have a connection of their own, the first one first.
    private var waiting: [HTTPStream] = []
    private var multiplexed: [HTTP2UpstreamConnection] = []
    private var isRetired = false

    init(_ endpoint: IPEndpoint, weight: Int = 1) {
        self.endpoint = endpoint
        self.weight = max(weight, 1)
    }

    var isUnused: Bool { active == 0 && idle.isEmpty && multiplexed.isEmpty }

    /// Has the stream woken once there may be a connection for it.
    func wait(_ stream: HTTPStream) { waiting.append(stream) }

    func stopWaiting(_ stream: HTTPStream) { waiting.removeAll { $0 === stream } }

    /// A connection is free, or one less is there.
    func wakeWaiting() { if !waiting.isEmpty { waiting.removeFirst().wake() } }

    /// The most recently used idle connection that was made with this SNI (Envoy pools them by it).
    func takeIdle(serverName: String?) -> HTTPUpstreamConnection? {
        idle.lastIndex { $0.transport?.serverName == serverName }.map { idle.remove(at: $0) }
    }

    /// Keeps a connection for the next request, or closes it when the host has left its cluster.
    func keep(_ connection: HTTPUpstreamConnection) {
        if isRetired {
            connection.close()
        } else {
            idle.append(connection)
            wakeWaiting()
        }
    }

    func forget(_ connection: HTTPUpstreamConnection) { idle.removeAll { $0 === connection } }

    /// A connection made with this SNI that takes another stream, or a new one.
    func multiplexed(
        of cluster: ClusterRuntime, _ transport: UpstreamTransport?, _ worker: ProxyWorker
    ) -> (connection: HTTP2UpstreamConnection, isNew: Bool) {
        let known = multiplexed.first { $0.takesStreams && $0.transport?.serverName == transport?.serverName }
        if let known { return (known, false) }
        let made = HTTP2UpstreamConnection(cluster: cluster, host: self, transport: transport)
        multiplexed.append(made)
        made.connect(worker, self)
        return (made, true)
    }

    func forget(_ connection: HTTP2UpstreamConnection) { multiplexed.removeAll { $0 === connection } }

    /// The host has left its cluster: requests in progress go on, kept connections go.
    func retire() {
        isRetired = true
        closeIdle()
    }

    /// Closes the kept connections.
    func closeIdle() {
        let connections = idle
        idle = []
        for connection in connections { connection.close() }
        // Those that still serve requests leave the list when they end.
        for connection in multiplexed { connection.drain() }
    }
}
