import NIOCore
import NIOHTTP1
import NetworkAddresses

/// An HTTP/1.1 connection to a host; serves one stream at a time and is kept in between. Confined to the worker's loop.
final class HTTPUpstreamConnection: ChannelDuplexHandler, @unchecked Sendable {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundIn = HTTPClientRequestPart
    typealias OutboundOut = HTTPClientRequestPart

    let cluster: ClusterRuntime
    let host: UpstreamHost
    /// nil without TLS.
    let transport: UpstreamTransport?
    private(set) var local: IPEndpoint?
    private var stream: HTTPStream?
    /// Whose output waits for a flush, also after its stream has ended.
    private weak var unflushed: HTTPConnectionHandler?
    private var context: ChannelHandlerContext?
    private var hasHeldRead = false
    private var isCounted = false
    private var responseKeepsAlive = false
    private var failure = UpstreamReset.connectionTermination

    init(cluster: ClusterRuntime, host: UpstreamHost, transport: UpstreamTransport?) {
        self.cluster = cluster
        self.host = host
        self.transport = transport
    }

    func install(in channel: any Channel) throws {
        let pipeline = channel.pipeline.syncOperations
        var framing = HTTPRequestEncoder.Configuration()
        framing.automaticallySetFramingHeaders = false
        try pipeline.addHandlers([
            HTTPRequestEncoder(configuration: framing), ByteToMessageHandler(HTTPResponseDecoder()), self,
        ])
    }

    // MARK: Counting

    func begin() {
        isCounted = true
        cluster.counters.connections.add()
        cluster.counters.activeConnections.add()
    }

    func connected(_ channel: any Channel) { local = UpstreamDialer.localEndpoint(channel) }

    func failed(_ error: any Error) {
        let failure = ConnectFailure(error)
        if isCounted, !failure.isCancelled {
            cluster.counters.connectFailures.add()
            if failure.isTimeout { cluster.counters.connectTimeouts.add() }
        }
        end()
    }

    private func end() {
        guard isCounted else { return }
        isCounted = false
        cluster.counters.activeConnections.subtract()
    }

    // MARK: For streams

    var isWritable: Bool { context?.channel.isWritable ?? false }

    /// Serves `stream` from now on; false when the connection is gone already.
    func attach(_ stream: HTTPStream) -> Bool {
        guard let context, context.channel.isActive else { return false }
        self.stream = stream
        responseKeepsAlive = false
        cluster.counters.requests.add()
        return true
    }

    func write(_ part: HTTPClientRequestPart) {
        if case .body(.byteBuffer(let bytes)) = part { cluster.counters.sentBytes.add(bytes.readableBytes) }
        context?.write(wrapOutboundOut(part), promise: nil)
    }

    func flush() { context?.flush() }

    /// The stream needs nothing more: keep the connection if both messages are complete.
    func release(requestComplete: Bool) {
        stream = nil
        if requestComplete, responseKeepsAlive, let context, context.channel.isActive {
            host.keep(self)
            resumeReading()
        } else {
            close()
        }
    }

    func close() {
        stream = nil
        context?.close(promise: nil)
    }

    func resumeReading() {
        guard hasHeldRead, let context else { return }
        hasHeldRead = false
        read(context: context)
    }

    // MARK: Channel

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard let stream else {
            // A response nobody asked for: the connection can't be trusted.
            context.close(promise: nil)
            return
        }
        unflushed = stream.connection
        switch unwrapInboundIn(data) {
        case .head(let head):
            responseKeepsAlive = head.isKeepAlive
            stream.receive(head)
        case .body(let bytes):
            cluster.counters.receivedBytes.add(bytes.readableBytes)
            stream.receive(bytes)
        case .end(let trailers): stream.receiveEnd(trailers)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        unflushed?.flush()
        unflushed = nil
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { stream?.connection.resumeReading() }
    }

    func read(context: ChannelHandlerContext) {
        if stream?.connection.isWritable ?? true { context.read() } else { hasHeldRead = true }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let error = error as? HTTPParserError, error != .invalidEOFState { failure = .protocolError }
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        end()
        host.forget(self)
        let stream = stream
        self.stream = nil
        stream?.upstreamFailed(failure)
        // No channelReadComplete follows what the end of input completed.
        unflushed?.flush()
    }
}
