import NIOCore
import NetworkAddresses
import ProxyModel

/// What can end a downstream connection: the handler that serves it at the moment.
protocol DownstreamPeer: AnyObject {
    /// The proxy stops, or the drain time is over: write what is due and close.
    func shutDown()
    /// The connection's chain is out of date: take no more work after the current one.
    func startDraining()
}

/// An accepted connection, as long as it lives. Confined to the worker's loop.
final class DownstreamConnection: @unchecked Sendable {
    let id: UInt64
    let source: IPEndpoint
    /// As the client dialled it.
    let destination: IPEndpoint
    let startTime: Double
    let startedAt: NIODeadline
    var listener: Listener?
    var chain: FilterChain?
    /// nil where the chain asks nothing; see `currentAuthorization`.
    var authorization: ChainAuthorization?
    /// The configuration that `authorization` is of.
    var authorizedBy: ProxySnapshot?
    var serverName: String?
    /// nil where the chain has no transport socket.
    var tls: TLSSession?
    weak var peer: (any DownstreamPeer)?

    init(id: UInt64, source: IPEndpoint, destination: IPEndpoint) {
        self.id = id
        self.source = source
        self.destination = destination
        startTime = WallClock.now()
        startedAt = .now()
    }

    /// A record with what is known of the connection.
    func makeRecord(_ kind: AccessLogRecord.Kind, streamID: UInt64, startTime: Double) -> AccessLogRecord {
        var record = AccessLogRecord(kind: kind, streamID: streamID, startTime: startTime)
        record.downstreamLocalAddress = destination
        record.downstreamRemoteAddress = source
        record.requestedServerName = serverName
        record.filterChainName = chain?.name
        record.origin = chain?.origin ?? listener?.origin
        return record
    }
}
