import NIOCore

/// The server's end of a forwarded connection. Confined to the worker's loop.
final class SNIUpstream: ChannelDuplexHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var downstream: SNIConnection?
    private var context: ChannelHandlerContext?
    private var hasHeldRead = false
    private var sawEOF = false
    private var wasReset = false

    init(downstream: SNIConnection) { self.downstream = downstream }

    // MARK: Channel

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { downstream?.deliver(unwrapInboundIn(data)) }

    func channelReadComplete(context: ChannelHandlerContext) { downstream?.flush() }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case .inputClosed? = event as? ChannelEvent else { return }
        sawEOF = true
        downstream?.upstreamEnded()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        wasReset = true
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        let downstream = downstream
        self.downstream = nil
        downstream?.upstreamClosed(byReset: wasReset)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { downstream?.resumeReading() }
    }

    func read(context: ChannelHandlerContext) {
        if downstream?.isWritable ?? true { context.read() } else { hasHeldRead = true }
    }

    // MARK: From downstream

    /// The connect has failed: the downstream end goes on without this one.
    func detach() { downstream = nil }

    var isWritable: Bool { context?.channel.isWritable ?? true }

    func write(_ bytes: ByteBuffer) { context?.write(wrapOutboundOut(bytes), promise: nil) }

    func flush() { context?.flush() }

    func resumeReading() {
        guard hasHeldRead, let context else { return }
        hasHeldRead = false
        read(context: context)
    }

    func downstreamEnded() { context?.drainThenClose(sawEOF ? .all : .output) }

    func downstreamClosed(byReset: Bool) {
        downstream = nil
        guard let context else { return }
        // Nobody takes what the upstream still sends: reading on lets it be dropped and the close be noticed.
        resumeReading()
        if byReset {
            Sockets.resetOnClose(context.channel)
            context.close(promise: nil)
        } else {
            context.drainThenClose(.all)
        }
    }
}
