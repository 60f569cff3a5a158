import NIOCore
import NIOHTTP2
import ProxyModel

/// One request of an HTTP/2 client. Confined to the worker's loop.
final class HTTP2DownstreamStream: ChannelDuplexHandler, HTTPDownstream, @unchecked Sendable {
    typealias InboundIn = HTTP2Frame.FramePayload
    typealias OutboundIn = HTTP2Frame.FramePayload
    typealias OutboundOut = HTTP2Frame.FramePayload

    private let connection: HTTP2ConnectionHandler
    private let worker: ProxyWorker
    private let manager: HTTPConnectionManager
    private var context: ChannelHandlerContext?
    private var stream: HTTPStream?
    private var hasBegun = false
    private var requestEnded = false
    private var responseEnded = false
    private var isHead = false
    private var isReading = false
    private var hasHeldRead = false

    init(_ connection: HTTP2ConnectionHandler, worker: ProxyWorker, manager: HTTPConnectionManager) {
        self.connection = connection
        self.worker = worker
        self.manager = manager
    }

    // MARK: Inbound

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        connection.began(self)
    }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        isReading = true
        switch unwrapInboundIn(data) {
        case .headers(let frame):
            requestEnded = frame.endStream
            if hasBegun {
                if frame.endStream { stream?.receiveRequestEnd(HTTP2Heads.fields(frame.headers)) }
            } else {
                begin(frame)
            }
        case .data(let frame):
            guard case .byteBuffer(let bytes) = frame.data else { return }
            requestEnded = frame.endStream
            if bytes.readableBytes > 0 { stream?.receiveBody(bytes) }
            if frame.endStream { stream?.receiveRequestEnd(nil) }
        default: break
        }
    }

    private func begin(_ frame: HTTP2Frame.FramePayload.Headers) {
        hasBegun = true
        let stream = HTTPStream(connection: self, worker: worker, manager: manager)
        self.stream = stream
        if let excess = HTTP2Heads.excess(in: frame.headers) {
            stream.abortResponse(flag: "DR", details: excess)
            return
        }
        var head = HTTP2Heads.request(frame.headers)
        isHead = head.method == "HEAD"
        if head.fields.first("expect")?.lowercased() == "100-continue" {
            head.fields.remove("expect")
            writeContinue()
        }
        stream.start(head, keepsAlive: true, upgrade: nil, endOfRequest: frame.endStream)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        isReading = false
        stream?.flushUpstream()
        flush()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { stream?.resumeUpstream() }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    func channelInactive(context: ChannelHandlerContext) {
        if connection.isActive {
            stream?.abort(flag: "DR", details: "http2.remote_reset")
        } else {
            stream?.abort()
        }
        connection.ended(self)
    }

    func connectionEnded() { stream?.abort() }
    func shutDown() { stream?.shutDown() }

    // MARK: For the stream

    var downstream: DownstreamConnection { connection.downstream }
    var counters: HTTPCounters { connection.counters }
    var version: HTTPProtocol { .http2 }
    var isDraining: Bool { connection.isDraining }
    var isWritable: Bool { context?.channel.isWritable ?? true }

    func canKeepAlive(_ head: HTTPResponseHead, ended: Bool) -> Bool { true }

    func write(_ head: HTTPResponseHead, ended: Bool, closes: Bool) {
        let ends = ended || isHead
        write(.headers(.init(headers: HTTP2Heads.block(head), endStream: ends)))
        responseEnded = ends
    }

    func write(_ bytes: ByteBuffer) {
        guard !responseEnded, bytes.readableBytes > 0 else { return }
        write(.data(.init(data: .byteBuffer(bytes))))
    }

    func writeEnd(_ trailers: HTTPFields?) {
        guard !responseEnded else { return }
        responseEnded = true
        if let trailers, !trailers.isEmpty {
            write(.headers(.init(headers: HTTP2Heads.block(trailers), endStream: true)))
        } else {
            write(.data(.init(data: .byteBuffer(ByteBuffer()), endStream: true)))
        }
    }

    func writeContinue() {
        let head = HTTPResponseHead(status: 100, fields: HTTPFields())
        write(.headers(.init(headers: HTTP2Heads.block(head))))
        flushIfIdle()
    }

    private func write(_ frame: HTTP2Frame.FramePayload) {
        context?.write(wrapOutboundOut(frame), promise: nil)
    }

    func flush() { context?.flush() }

    func flushIfIdle() { if !isReading { flush() } }

    func streamEnded(keepAlive: Bool, broken: Bool) {
        stream = nil
        guard let context else { return }
        if broken {
            context.writeAndFlush(wrapOutboundOut(.rstStream(.internalError)), promise: nil)
        } else if !requestEnded, responseEnded {
            // RFC 9113, 8.1: the rest of the request is of no use.
            context.writeAndFlush(wrapOutboundOut(.rstStream(.noError)), promise: nil)
        } else {
            resumeReading()
        }
    }

    // MARK: Outbound

    func read(context: ChannelHandlerContext) {
        if stream?.takesBody ?? true { context.read() } else { hasHeldRead = true }
    }

    func resumeReading() {
        guard hasHeldRead, let context else { return }
        hasHeldRead = false
        read(context: context)
    }
}
