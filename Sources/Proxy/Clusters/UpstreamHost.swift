import NIOCore
import NetworkAddresses

/// One address of a cluster, with its kept connections. Confined to the worker's loop.
final class UpstreamHost: @unchecked Sendable {
    /// What there has been since the start, but for `active`: connections that are open.
    struct Counts {
        var active = 0
        var connections = 0
        var connectFailures = 0
        var requests = 0
        var successes = 0
        var errors = 0
        var timeouts = 0
    }

    let endpoint: IPEndpoint
    let weight: Int
    /// Connections and requests in progress.
    var active = 0
    /// For HTTP, those that are being made included.
    var connections = 0
    /// What its line of `/clusters` tells.
    var counted = Counts()
    /// For smooth weighted round robin.
    var credit = 0
    var health = HostHealth()
    /// Out of its cluster for a while, for its failures.
    var isEjected: Bool { health.ejectedAt != nil }
    private var idle: [HTTPUpstreamConnection] = []
    /// Requests that may not have a connection of their own, the first one first.
    private var waiting: [UpstreamRequest] = []
    private var multiplexed: [HTTP2UpstreamConnection] = []
    /// Connections that are still being made, for requests that have left.
    private var unclaimed: [any Channel] = []
    private var isRetired = false

    init(_ endpoint: IPEndpoint, weight: Int = 1) {
        self.endpoint = endpoint
        self.weight = max(weight, 1)
    }

    var isUnused: Bool { active == 0 && idle.isEmpty && multiplexed.isEmpty && unclaimed.isEmpty }

    /// Counts an answer.
    func noteResponse(_ status: Int) { if status < 500 { counted.successes += 1 } else { counted.errors += 1 } }

    /// Has the request woken once there may be a connection for it.
    func wait(_ request: UpstreamRequest) { waiting.append(request) }

    func stopWaiting(_ request: UpstreamRequest) { if !waiting.isEmpty { waiting.removeAll { $0 === request } } }

    /// A connection is free, or one less is there.
    func wakeWaiting() { if !waiting.isEmpty { waiting.removeFirst().wake() } }

    /// Watches a connection that is being made, whose request has left.
    func adopt(_ channel: any Channel) { unclaimed.append(channel) }

    /// The connection is made, or can't be.
    func ended(_ channel: any Channel) { if !unclaimed.isEmpty { unclaimed.removeAll { $0 === channel } } }

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

    /// A connection made with this SNI that takes another stream, one that is open before one on its way.
    func multiplexed(serverName: String?) -> HTTP2UpstreamConnection? {
        let candidates = multiplexed.filter { $0.takesStreams && $0.transport?.serverName == serverName }
        return candidates.first { $0.isOpen } ?? candidates.first
    }

    /// Begins another connection.
    func multiplex(
        for cluster: ClusterRuntime, _ transport: UpstreamTransport?, _ worker: ProxyWorker
    ) -> HTTP2UpstreamConnection {
        let made = HTTP2UpstreamConnection(cluster: cluster, host: self, transport: transport)
        multiplexed.append(made)
        made.connect(worker, self)
        return made
    }

    func forget(_ connection: HTTP2UpstreamConnection) { multiplexed.removeAll { $0 === connection } }

    /// The host has left its cluster: requests in progress go on, kept connections go.
    func retire() {
        isRetired = true
        closeIdle()
    }

    /// Closes the kept connections, and gives up those that nobody waits for.
    func closeIdle() {
        let connections = idle
        idle = []
        for channel in unclaimed { channel.close(promise: nil) }
        for connection in connections { connection.close() }
        // Those that still serve requests leave the list when they end.
        for connection in multiplexed { connection.drain() }
    }
}
