import NIOCore
import NIOHTTP2
import ProxyModel

/// The downstream end of an HTTP/2 connection. Confined to the worker's loop.
final class HTTP2ConnectionHandler: ChannelInboundHandler, DownstreamPeer, @unchecked Sendable {
    typealias InboundIn = HTTP2Frame
    typealias OutboundOut = HTTP2Frame

    /// Envoy: `CLIENT_MAGIC_PREFIX`.
    private static let prefix = Array("PRI * HTTP/2".utf8)
    /// RFC 9113, 3.4.
    private static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

    let downstream: DownstreamConnection
    let counters: HTTPCounters
    private let worker: ProxyWorker
    private let manager: HTTPConnectionManager
    private var context: ChannelHandlerContext?
    private var streams: [ObjectIdentifier: HTTP2DownstreamStream] = [:]
    private(set) var isDraining = false
    private var idleTimer: IdleTimer?

    private init(
        _ manager: HTTPConnectionManager, _ downstream: DownstreamConnection, _ worker: ProxyWorker,
        _ counters: HTTPCounters
    ) {
        self.manager = manager
        self.downstream = downstream
        self.worker = worker
        self.counters = counters
    }

    /// Whether a connection that begins with `bytes` speaks HTTP/2.
    static func begins(_ bytes: ByteBuffer, negotiated: String?) -> Bool {
        if let negotiated { return negotiated == "h2" }
        return bytes.readableBytesView.starts(with: prefix)
    }

    /// Whether `bytes`, the first of a connection, are the preface or may become it.
    static func accepts(_ bytes: ByteBuffer) -> Bool {
        bytes.readableBytesView.prefix(preface.count).elementsEqual(preface.prefix(bytes.readableBytes))
    }

    /// Puts the handler behind the handlers that `channel` has.
    static func install(
        in channel: any Channel, manager: HTTPConnectionManager, connection: DownstreamConnection,
        worker: ProxyWorker, counters: HTTPCounters
    ) throws {
        let made = HTTP2ConnectionHandler(manager, connection, worker, counters)
        connection.peer = made
        let handler = NIOHTTP2Handler(
            mode: .server, eventLoop: channel.eventLoop, connectionConfiguration: HTTP2Limits.connection,
            streamConfiguration: HTTP2Limits.stream
        ) { child in
            child.eventLoop.makeCompletedFuture {
                try child.pipeline.syncOperations.addHandler(
                    HTTP2DownstreamStream(made, worker: made.worker, manager: made.manager))
            }
        }
        try channel.pipeline.syncOperations.addHandlers([handler, made])
        let limit = manager.idleTimeoutMs ?? HTTPConnectionHandler.defaultIdleTimeoutMs
        made.idleTimer = IdleTimer(limitMs: limit, loop: worker.loop) { [weak made] in
            guard let made, !made.isDraining else { return }
            counters.idleTimeouts.add()
            made.startDraining()
        }
    }

    // MARK: For the streams

    var isActive: Bool { context?.channel.isActive ?? false }

    func began(_ stream: HTTP2DownstreamStream) {
        streams[ObjectIdentifier(stream)] = stream
        idleTimer?.isBusy = true
    }

    func ended(_ stream: HTTP2DownstreamStream) {
        streams[ObjectIdentifier(stream)] = nil
        if streams.isEmpty { idleTimer?.isBusy = false }
        if isDraining, streams.isEmpty { context?.close(promise: nil) }
    }

    // MARK: Channel

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .goAway = unwrapInboundIn(data).payload { drain() }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .inputClosed? = event as? ChannelEvent { context.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // Errors of single streams reach their own channels, too.
        if error is NIOHTTP2Errors.StreamError { return }
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        idleTimer?.stop()
        for stream in streams.values { stream.connectionEnded() }
        worker.unregister(downstream)
    }

    // MARK: End

    private func drain() {
        isDraining = true
        if streams.isEmpty { context?.close(promise: nil) }
    }

    func shutDown() {
        for stream in streams.values { stream.shutDown() }
        context?.close(promise: nil)
    }

    /// As Envoy the client is told to make another connection, and what it has begun is completed.
    func startDraining() {
        guard !isDraining, let context else { return }
        let frame = HTTP2Frame(
            streamID: .rootStream,
            payload: .goAway(lastStreamID: .maxID, errorCode: .noError, opaqueData: nil))
        context.writeAndFlush(wrapOutboundOut(frame), promise: nil)
        drain()
    }
}
