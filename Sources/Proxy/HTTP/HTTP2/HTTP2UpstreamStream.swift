import NIOCore
import NIOHTTP2
import NetworkAddresses

/// One request on an HTTP/2 connection to a host. Confined to the worker's loop.
final class HTTP2UpstreamStream: ChannelDuplexHandler, HTTPUpstream, @unchecked Sendable {
    typealias InboundIn = HTTP2Frame.FramePayload
    typealias OutboundIn = HTTP2Frame.FramePayload
    typealias OutboundOut = HTTP2Frame.FramePayload

    /// What is taken while the stream's channel is being made.
    private static let waitingLimit = 65_536

    private let connection: HTTP2UpstreamConnection
    private let counters: ClusterCounters
    private var stream: UpstreamRequest?
    /// Whose output waits for a flush, also after its stream has ended.
    private weak var unflushed: (any HTTPDownstream)?
    private var context: ChannelHandlerContext?
    private var early: [HTTP2Frame.FramePayload] = []
    private var earlyBytes = 0
    private var hasHead = false
    private var hasHeldRead = false
    private var isClosed = false
    private var failure: UpstreamReset?

    init(connection: HTTP2UpstreamConnection, counters: ClusterCounters) {
        self.connection = connection
        self.counters = counters
    }

    var transport: UpstreamTransport? { connection.transport }
    var local: IPEndpoint? { connection.local }

    // MARK: For the stream

    var isWritable: Bool { context?.channel.isWritable ?? (earlyBytes < Self.waitingLimit) }
    /// HTTP/2 has no Upgrade. Its extended CONNECT is offered by no server that a mesh has.
    var takesUpgrades: Bool { false }

    func attach(_ stream: UpstreamRequest) -> Bool {
        guard connection.open(self) else { return false }
        self.stream = stream
        counters.requests.add()
        return true
    }

    func write(_ head: HTTPRequestHead, ended: Bool) {
        write(.headers(.init(headers: HTTP2Heads.block(head), endStream: ended)))
    }

    func write(_ bytes: ByteBuffer) {
        guard bytes.readableBytes > 0 else { return }
        counters.sentBytes.add(bytes.readableBytes)
        if context == nil { earlyBytes += bytes.readableBytes }
        write(.data(.init(data: .byteBuffer(bytes))))
    }

    func writeEnd(_ trailers: HTTPFields?) {
        if let trailers, !trailers.isEmpty {
            write(.headers(.init(headers: HTTP2Heads.block(trailers), endStream: true)))
        } else {
            write(.data(.init(data: .byteBuffer(ByteBuffer()), endStream: true)))
        }
    }

    private func write(_ frame: HTTP2Frame.FramePayload) {
        if let context { context.write(wrapOutboundOut(frame), promise: nil) } else { early.append(frame) }
    }

    func flush() { context?.flush() }

    func release(requestComplete: Bool) {
        stream = nil
        if requestComplete { resumeReading() } else { close() }
    }

    func cancel() {
        stream = nil
        close()
    }

    /// Ends the stream with a reset, if its two sides have not ended it.
    private func close() {
        early = []
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

    func channelActive(context: ChannelHandlerContext) {
        guard stream != nil else {
            context.close(promise: nil)
            return
        }
        let frames = early
        early = []
        for frame in frames { context.write(wrapOutboundOut(frame), promise: nil) }
        context.flush()
        stream?.connection.resumeReading()
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard let stream else { return }
        unflushed = stream.connection
        switch unwrapInboundIn(data) {
        case .headers(let frame): accept(frame, stream)
        case .data(let frame):
            guard case .byteBuffer(let bytes) = frame.data else { return }
            counters.receivedBytes.add(bytes.readableBytes)
            if bytes.readableBytes > 0 { stream.receive(bytes) }
            if frame.endStream { stream.receiveEnd(nil) }
        case .rstStream(let code): failure = code == .refusedStream ? .refusedStream : .remoteReset
        default: break
        }
    }

    private func accept(_ frame: HTTP2Frame.FramePayload.Headers, _ stream: UpstreamRequest) {
        if hasHead {
            if frame.endStream { stream.receiveEnd(HTTP2Heads.fields(frame.headers)) }
            return
        }
        guard let head = HTTP2Heads.response(frame.headers), head.status != 101 else {
            failure = .protocolError
            context?.close(promise: nil)
            return
        }
        if head.status < 200 { return }
        hasHead = true
        stream.receive(head, ended: frame.endStream)
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
        if let closed = error as? NIOHTTP2Errors.StreamClosed {
            failure = failure ?? (closed.errorCode == .refusedStream ? .refusedStream : .remoteReset)
        } else {
            failure = failure ?? .protocolError
        }
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) { closed(failure) }

    /// The stream is over; its request, if it still waits, learns why.
    func closed(_ reset: UpstreamReset?) {
        let stream = stream
        self.stream = nil
        unflushed = stream?.connection ?? unflushed
        end()
        stream?.upstreamFailed(connection.isActive ? reset ?? .remoteReset : connection.termination)
        // No channelReadComplete follows.
        unflushed?.flush()
        unflushed = nil
    }

    private func end() {
        guard !isClosed else { return }
        isClosed = true
        connection.streamEnded()
    }
}
