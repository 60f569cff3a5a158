import NIOCore

/// The upstream end of a relayed connection. Confined to the worker's loop.
final class RelayHandler: ChannelDuplexHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    let end = RelayEnd()
    private let connected: () -> Void
    private let closed: () -> Void

    /// `connected` is called when the channel is made, with its handshake done, `closed` when it is gone.
    init(connected: @escaping () -> Void = {}, closed: @escaping () -> Void = {}) {
        self.connected = connected
        self.closed = closed
    }

    func handlerAdded(context: ChannelHandlerContext) { end.added(to: context) }
    func handlerRemoved(context: ChannelHandlerContext) { end.removed() }

    func channelActive(context: ChannelHandlerContext) {
        connected()
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { end.receive(unwrapInboundIn(data)) }
    func channelReadComplete(context: ChannelHandlerContext) { end.receiveComplete() }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .inputClosed? = event as? ChannelEvent { end.endInput() }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        end.noteReset()
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        closed()
        end.close()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) { end.writabilityChanged() }
    func read(context: ChannelHandlerContext) { end.read(context) }
}
