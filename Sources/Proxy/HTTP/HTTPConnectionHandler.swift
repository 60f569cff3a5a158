import NIOCore
import ProxyModel

/// The downstream end of an HTTP/1 connection: one stream at a time, in order. Confined to the worker's loop.
///
/// Pipelined requests wait: what follows a complete request is not parsed until that request is answered.
final class HTTPConnectionHandler: ChannelDuplexHandler, RemovableChannelHandler, HTTPDownstream, DownstreamPeer,
    @unchecked Sendable
{
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// How long a client may take to close a connection that it was told is over (Envoy: `delayed_close_timeout`).
    private static let lingerTime = TimeAmount.seconds(1)
    /// Envoy's default.
    static let defaultIdleTimeoutMs = 3_600_000
    /// How much Envoy reads at once (`per_connection_buffer_limit_bytes`).
    private static let readLimit = 1 << 20
    /// Bodies up to this size are copied behind what is written already.
    private static let copyLimit = 4096

    let downstream: DownstreamConnection
    let counters: HTTPCounters
    private let worker: ProxyWorker
    private var manager: HTTPConnectionManager
    private var context: ChannelHandlerContext?
    private var parser = HTTP1Parser(isRequest: true)
    private var output: ByteBuffer?
    private var stream: HTTPStream?
    private var requestEnded = true
    private var body: ByteBuffer?
    /// What follows is the bytes of another protocol.
    private var isTunnel = false
    private var responseBody = HTTP1Writing.ResponseBody.plain
    private var isHead = false
    private(set) var version = HTTPProtocol.http11
    private var isParsing = false
    private var isClosing = false
    /// Nothing is read any more: the client has the word.
    private var isLingering = false
    private var hasUnread = false
    private var hasHeldRead = false
    private var isReading = false
    private var isFirstRead = true
    private(set) var isDraining = false
    private var idleTimer: IdleTimer?

    private init(_ manager: HTTPConnectionManager, _ downstream: DownstreamConnection, _ worker: ProxyWorker) {
        self.manager = manager
        self.downstream = downstream
        self.worker = worker
        counters = worker.httpCounters(manager.statPrefix)
        counters.connections.add()
    }

    /// Puts the handler behind the handlers that `channel` has.
    static func install(
        in channel: any Channel, manager: HTTPConnectionManager, connection: DownstreamConnection, worker: ProxyWorker
    ) throws {
        let handler = HTTPConnectionHandler(manager, connection, worker)
        connection.peer = handler
        handler.startIdleTimer()
        try channel.pipeline.syncOperations.addHandler(handler)
    }

    private func startIdleTimer() {
        let limit = manager.idleTimeoutMs ?? Self.defaultIdleTimeoutMs
        idleTimer = IdleTimer(limitMs: limit, loop: worker.loop) { [weak self] in
            guard let self, !self.isClosing else { return }
            self.counters.idleTimeouts.add()
            self.isClosing = true
            self.drainThenClose(.all)
        }
    }

    // MARK: Inbound

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        if isClosing {
            // What the same event had still to bring is no news.
            if isLingering, !isReading { hasUnread = true }
            return
        }
        if isFirstRead {
            isFirstRead = false
            if HTTP2ConnectionHandler.begins(bytes, negotiated: downstream.tls?.applicationProtocol) {
                guard HTTP2ConnectionHandler.accepts(bytes) else {
                    // Envoy says nothing to a peer that broke its word, not even in its log.
                    isReading = true
                    isClosing = true
                    linger()
                    return
                }
                becomeHTTP2(context, data)
                return
            }
        }
        isReading = true
        parser.feed(bytes)
        parse()
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        isReading = false
        stream?.flushUpstream()
        flush()
        context.fireChannelReadComplete()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // As in Envoy, a client of HTTP/1.1 that finishes sending has left. A response in progress is cut.
        guard case .inputClosed? = event as? ChannelEvent else { return }
        if isLingering {
            endLingering()
            return
        }
        isClosing = true
        stream?.abort()
        drainThenClose(.all)
    }

    func channelInactive(context: ChannelHandlerContext) {
        isClosing = true
        idleTimer?.stop()
        stream?.abort()
        worker.unregister(downstream)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { stream?.resumeUpstream() }
    }

    private func becomeHTTP2(_ context: ChannelHandlerContext, _ data: NIOAny) {
        do {
            try HTTP2ConnectionHandler.install(
                in: context.channel, manager: manager, connection: downstream, worker: worker, counters: counters)
        } catch {
            context.close(promise: nil)
            return
        }
        idleTimer?.stop()
        context.fireChannelRead(data)
        context.fireChannelReadComplete()
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }

    // MARK: Requests

    private func parse() {
        guard !isParsing else { return }
        isParsing = true
        defer { isParsing = false }
        while !isClosing, stream == nil || !requestEnded {
            if isTunnel {
                passTunnelBytes()
                return
            }
            do {
                guard let part = try parser.next() else {
                    deliverBody()
                    return
                }
                accept(part)
            } catch {
                // Envoy passes on what came before with the last chunk, not with each.
                if parser.hasReadLastChunk { deliverBody() } else { body = nil }
                if stream == nil { version = .http11 }
                let stream = stream ?? makeStream()
                // The client is answered in its own version; for the log there was no request.
                if parser.isOldRequest { version = .http10 }
                self.stream = stream
                stream.fail(.protocolError(error))
            }
        }
    }

    private func accept(_ part: HTTP1Parser.Part) {
        switch part {
        case .begin:
            version = .http11
            isHead = false
            requestEnded = false
            followConfiguration()
            stream = makeStream()
        case .head(let head): begin(head)
        case .body(let bytes):
            // What one read brought goes on in one piece, however it was cut.
            if body == nil { body = bytes } else { body?.writeImmutableBuffer(bytes) }
        case .end:
            deliverBody()
            requestEnded = true
            stream?.receiveRequestEnd(nil)
        }
    }

    private func deliverBody() {
        guard let bytes = body else { return }
        body = nil
        stream?.receiveBody(bytes)
    }

    private func begin(_ raw: HTTP1Head) {
        guard let stream else { return }
        do throws(LocalReply) {
            let rules = RequestRules(
                acceptsHTTP10: manager.acceptsHTTP10, usesRemoteAddress: manager.usesRemoteAddress)
            let read = try HTTP1RequestReading.read(raw, rules)
            version = read.head.version
            isHead = read.head.method == "HEAD"
            let hasBody = raw.framing != .unspecified && raw.framing != .length(0)
            if read.expectsContinue { writeContinue() }
            if read.upgrade != nil {
                isTunnel = true
            } else if !hasBody {
                // The stream starts with the knowledge that nothing follows.
                _ = try? parser.next()
                requestEnded = true
            }
            stream.start(
                read.head, keepsAlive: read.keepsAlive, upgrade: read.upgrade, endOfRequest: requestEnded)
        } catch {
            stream.fail(error)
        }
    }

    private func passTunnelBytes() {
        let bytes = parser.takeTunnelBytes()
        if bytes.readableBytes > 0 { stream?.receiveBody(bytes) }
    }

    private func makeStream() -> HTTPStream {
        idleTimer?.isBusy = true
        return HTTPStream(connection: self, worker: worker, manager: manager)
    }

    /// A kept connection's next request follows the newest version of its filter chain.
    private func followConfiguration() {
        guard isDraining, let listener = downstream.listener, let name = downstream.chain?.name,
            let current = worker.snapshot?.listeners.named(listener.name)?.chain(named: name),
            case .httpConnectionManager(let manager) = current.filter
        else { return }
        self.manager = manager
    }

    func streamEnded(keepAlive: Bool, broken: Bool) {
        let isWhole = stream?.isWhole ?? false
        stream = nil
        idleTimer?.isBusy = false
        if isClosing { return }
        if broken || !keepAlive || isTunnel {
            isClosing = true
            if isWhole { drainThenClose(.all) } else { linger() }
        } else if parser.hasBytes {
            // On the next turn: a long chain of direct responses must not nest.
            worker.loop.execute { self.continueParsing() }
        } else {
            resumeReading()
        }
    }

    private func continueParsing() {
        parse()
        stream?.flushUpstream()
        flush()
        resumeReading()
    }

    /// Lets the client close first: closing at once, with bytes to come, would send a reset that can overtake the
    /// response. Envoy does so (`FlushWriteAndDelay`) unless an upstream answered all that was asked.
    private func linger() {
        isLingering = true
        // Envoy reads all that has come before it looks at any of it.
        if isReading, let context { Sockets.discardReceived(on: context.channel, atMost: Self.readLimit) }
        flushIfIdle()
        worker.loop.scheduleTask(in: Self.lingerTime) { self.endLingering() }
    }

    /// As the kernel does it when bytes are left unread: then a reset tells the client.
    private func endLingering() {
        guard let context else { return }
        if hasUnread { Sockets.resetOnClose(context.channel) }
        context.close(promise: nil)
    }

    private func drainThenClose(_ mode: CloseMode) {
        passOutput()
        context?.drainThenClose(mode)
    }

    // MARK: For the stream

    var isWritable: Bool { context?.channel.isWritable ?? true }

    func canKeepAlive(_ head: HTTPResponseHead, ended: Bool) -> Bool {
        version != .http10 || head.fields.contains("content-length")
    }

    func write(_ head: HTTPResponseHead, ended: Bool, closes: Bool) {
        var head = head
        if head.status != 101 {
            if closes {
                head.fields.append("connection", "close")
            } else if version == .http10 {
                head.fields.append("connection", "keep-alive")
            }
        }
        var buffer = takeOutput(reserving: 512)
        responseBody = HTTP1Writing.write(head, ended: ended, version: version, isHead: isHead, to: &buffer)
        output = buffer
    }

    func write(_ bytes: ByteBuffer) {
        guard bytes.readableBytes > 0, responseBody != .none else { return }
        var buffer = takeOutput(reserving: 0)
        if responseBody == .chunked { HTTP1Writing.writeChunkStart(bytes.readableBytes, to: &buffer) }
        if bytes.readableBytes <= Self.copyLimit {
            buffer.writeImmutableBuffer(bytes)
            output = buffer
        } else {
            output = buffer
            passOutput()
            context?.write(wrapOutboundOut(bytes), promise: nil)
        }
        if responseBody == .chunked {
            var buffer = takeOutput(reserving: 0)
            buffer.writeStaticString("\r\n")
            output = buffer
        }
    }

    /// Trailers are not written: Envoy's `enable_trailers` is off.
    func writeEnd(_ trailers: HTTPFields?) {
        guard responseBody == .chunked else { return }
        var buffer = takeOutput(reserving: 0)
        buffer.writeStaticString("0\r\n\r\n")
        output = buffer
    }

    func writeContinue() {
        var buffer = takeOutput(reserving: 0)
        buffer.writeStaticString("HTTP/1.1 100 Continue\r\n\r\n")
        output = buffer
        flushIfIdle()
    }

    private func takeOutput(reserving size: Int) -> ByteBuffer {
        defer { output = nil }
        return output ?? context?.channel.allocator.buffer(capacity: max(size, 64)) ?? ByteBuffer()
    }

    private func passOutput() {
        guard let buffer = output else { return }
        output = nil
        if buffer.readableBytes > 0 { context?.write(wrapOutboundOut(buffer), promise: nil) }
    }

    func flush() {
        passOutput()
        context?.flush()
    }

    func flushIfIdle() { if !isReading { flush() } }

    // MARK: Outbound

    func read(context: ChannelHandlerContext) {
        let mayRead = isClosing || (requestEnded ? !parser.hasBytes : stream?.takesBody ?? true)
        if mayRead, !isLingering { context.read() } else { hasHeldRead = true }
    }

    func resumeReading() {
        guard hasHeldRead, let context else { return }
        hasHeldRead = false
        read(context: context)
    }

    // MARK: End

    func shutDown() {
        isClosing = true
        stream?.shutDown()
        context?.close(promise: nil)
    }

    func startDraining() { isDraining = true }
}
