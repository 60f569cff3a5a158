import NIOCore
import NetworkAddresses
import ProxyModel

/// An HTTP/1.1 connection to a host; serves one stream at a time and is kept in between. Confined to the worker's loop.
final class HTTPUpstreamConnection: ChannelDuplexHandler, HTTPUpstream, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    let host: UpstreamHost
    /// nil without TLS.
    let transport: UpstreamTransport?
    private(set) var local: IPEndpoint?
    private let cluster: ClusterRuntime
    private let count: UpstreamConnectionCount
    private var stream: UpstreamRequest?
    /// Whose output waits for a flush, also after its stream has ended.
    private weak var unflushed: (any HTTPDownstream)?
    private var context: ChannelHandlerContext?
    private var parser = HTTP1Parser(isRequest: false)
    private var output: ByteBuffer?
    private var requestIsChunked = false
    private var requestMethod = ""
    private var upgrades = false
    private var isTunnel = false
    private var body: ByteBuffer?
    private var isInResponse = false
    private var hasHeldRead = false
    /// Requests, the one in progress included.
    private var served = 0
    private var responseKeepsAlive = false
    private var life: UpstreamConnectionLife?
    /// Takes no further request.
    private var isDraining = false
    private var failure = UpstreamReset.connectionTermination

    init(cluster: ClusterRuntime, host: UpstreamHost, transport: UpstreamTransport?) {
        self.cluster = cluster
        self.host = host
        self.transport = transport
        count = UpstreamConnectionCount(cluster.counters, host: host)
    }

    func install(in channel: any Channel) throws { try channel.pipeline.syncOperations.addHandler(self) }

    func begin() { count.begin() }

    func connected(_ channel: any Channel) {
        local = UpstreamDialer.localEndpoint(channel)
        life = UpstreamConnectionLife(
            cluster, loop: channel.eventLoop, close: { [weak self] in self?.close() },
            drain: { [weak self] in self?.drain() })
    }

    func failed(_ error: any Error) { count.fail(ConnectFailure(error)) }

    // MARK: For streams

    var isWritable: Bool { context?.channel.isWritable ?? false }
    var takesUpgrades: Bool { true }

    func attach(_ stream: UpstreamRequest) -> Bool {
        guard let context, context.channel.isActive else { return false }
        self.stream = stream
        life?.isBusy = true
        responseKeepsAlive = false
        isInResponse = false
        parser.beginAnew()
        cluster.counters.requests.add()
        served += 1
        return true
    }

    func write(_ head: HTTPRequestHead, ended: Bool) {
        var buffer = takeOutput()
        requestMethod = head.method
        upgrades = !ended && head.fields.contains("upgrade")
        requestIsChunked = HTTP1Writing.write(head, ended: ended, to: &buffer)
        output = buffer
    }

    func write(_ bytes: ByteBuffer) {
        guard bytes.readableBytes > 0 else { return }
        cluster.counters.sentBytes.add(bytes.readableBytes)
        var buffer = takeOutput()
        if requestIsChunked { HTTP1Writing.writeChunkStart(bytes.readableBytes, to: &buffer) }
        output = buffer
        passOutput()
        context?.write(wrapOutboundOut(bytes), promise: nil)
        if requestIsChunked { output = ByteBuffer(string: "\r\n") }
    }

    func writeEnd(_ trailers: HTTPFields?) {
        guard requestIsChunked else { return }
        var buffer = takeOutput()
        buffer.writeStaticString("0\r\n\r\n")
        output = buffer
    }

    private func takeOutput() -> ByteBuffer {
        defer { output = nil }
        return output ?? context?.channel.allocator.buffer(capacity: 512) ?? ByteBuffer()
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

    func release(requestComplete: Bool) {
        stream = nil
        life?.isBusy = false
        let isExhausted = served >= cluster.model.maxRequestsPerConnection ?? .max
        if isExhausted { cluster.counters.exhausted.add() }
        if requestComplete, !isExhausted, !isDraining, responseKeepsAlive, !parser.hasBytes, let context,
            context.channel.isActive
        {
            host.keep(self)
            resumeReading()
        } else {
            close()
        }
    }

    func cancel() { close() }

    private func drain() {
        isDraining = true
        if stream == nil { close() }
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
        let bytes = unwrapInboundIn(data)
        if isTunnel {
            cluster.counters.receivedBytes.add(bytes.readableBytes)
            stream.receive(bytes)
            return
        }
        parser.feed(bytes)
        parse()
    }

    private func parse() {
        do throws(HTTP1ParseError) {
            while let stream, !isTunnel, let part = try parser.next() { accept(part, stream) }
            deliverBody()
            if isTunnel, parser.hasBytes { stream?.receive(parser.takeTunnelBytes()) }
        } catch {
            body = nil
            failure = .protocolError
            context?.close(promise: nil)
        }
    }

    private func deliverBody() {
        guard let bytes = body else { return }
        body = nil
        stream?.receive(bytes)
    }

    private func accept(_ part: HTTP1Parser.Part, _ stream: UpstreamRequest) {
        switch part {
        case .begin: break
        case .head(let head): accept(head, stream)
        case .body(let bytes):
            cluster.counters.receivedBytes.add(bytes.readableBytes)
            // What one read brought goes on in one piece, however it was cut.
            if body == nil { body = bytes } else { body?.writeImmutableBuffer(bytes) }
        case .end:
            deliverBody()
            // An interim response is only half of the answer.
            if isInResponse { stream.receiveEnd(nil) }
        }
    }

    private func accept(_ head: HTTP1Head, _ stream: UpstreamRequest) {
        guard let status = Int(head.words[1]) else { return }
        if status < 200, status != 101 {
            parser.expectNoBody()
            return
        }
        if status == 204 || status == 101, head.framing != .unspecified, head.framing != .length(0) {
            failure = .protocolError
            close(failing: stream)
            return
        }
        isInResponse = true
        let connection = head.fields.tokens("connection")
        responseKeepsAlive =
            head.words[0] == "HTTP/1.1" ? !connection.contains("close") : connection.contains("keep-alive")
        var ended = false
        if status == 101 {
            if upgrades { responseKeepsAlive = false }
            isTunnel = upgrades
            ended = !upgrades
            parser.expectNoBody()
        } else if requestMethod == "HEAD" || status == 204 || status == 304 {
            ended = true
            parser.expectNoBody()
        } else if head.framing == .unspecified {
            responseKeepsAlive = false
            parser.expectBodyUntilClose()
        } else {
            ended = head.framing == .length(0)
        }
        stream.receive(HTTPResponseHead(status: status, fields: head.fields), ended: ended)
    }

    private func close(failing stream: UpstreamRequest) {
        self.stream = nil
        stream.upstreamFailed(failure)
        context?.close(promise: nil)
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
        // A reset ends a body that only the connection's end ends, too.
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        life?.end()
        count.end()
        host.forget(self)
        if !isTunnel, let stream {
            let wasIdle = parser.isBetweenMessages
            unflushed = stream.connection
            if parser.finish() { if !wasIdle { parse() } } else { failure = .protocolError }
            if stream !== self.stream { self.stream = nil }
        }
        let stream = stream
        self.stream = nil
        stream?.upstreamFailed(failure)
        // No channelReadComplete follows what the end of input completed.
        unflushed?.flush()
    }
}
