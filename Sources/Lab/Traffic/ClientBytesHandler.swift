internal import NIOCore
internal import NIOTLS

/// Sends bytes once the connection is ready, and waits until they have come back. Any other answer is over when the
/// server closes or pauses: how its bytes fall into reads says nothing.
final class ClientBytesHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// What is sent unless the request has a body of its own.
    static let line = "egress-lab\n"
    private static let pause = TimeAmount.milliseconds(100)
    /// How long a client with nothing to say waits for a greeting; the lab's own servers speak within a second.
    private static let patience = TimeAmount.seconds(5)

    private let connection: ClientConnection
    private var isHandshaking: Bool
    /// What has not come back of what was sent; nil once anything else has come.
    private var awaited: ByteBuffer?
    private var received = 0
    private var timer: Scheduled<Void>?

    init(_ connection: ClientConnection, isTLS: Bool) {
        self.connection = connection
        isHandshaking = isTLS
    }

    private var exchange: ClientExchange { connection.exchange }

    func channelActive(context: ChannelHandlerContext) {
        exchange.connected(connection.attempt)
        if !isHandshaking { send(context) }
        context.fireChannelActive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted? = event as? TLSUserEvent, isHandshaking {
            isHandshaking = false
            if connection.authenticate(context) { send(context) }
        }
        context.fireUserInboundEventTriggered(event)
    }

    private func send(_ context: ChannelHandlerContext) {
        let bytes = ByteBuffer(string: exchange.request.body ?? Self.line)
        if bytes.readableBytes > 0 {
            awaited = bytes
            return context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
        }
        // Where a proxy waits for the client's first bytes, neither would ever speak.
        timer = context.eventLoop.scheduleTask(in: Self.patience) { [connection] in
            connection.exchange.failed(ClientFailure(.timeout, "neither side spoke"), connection.attempt)
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        received += bytes.readableBytes
        if awaited?.readSlice(length: bytes.readableBytes) != bytes { awaited = nil }
        exchange.received(bytes.readableBytesView, connection.attempt)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if received > 0 {
            timer?.cancel()
            if awaited?.readableBytes == 0 {
                exchange.completed(connection.attempt)
            } else {
                timer = context.eventLoop.scheduleTask(in: Self.pause) { [connection] in
                    connection.exchange.completed(connection.attempt)
                }
            }
        }
        context.fireChannelReadComplete()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        exchange.failed(
            .exchanging(error, isHandshaking: isHandshaking, hasAnswer: received > 0), connection.attempt)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        if received > 0 {
            exchange.completed(connection.attempt)
        } else {
            let failure =
                isHandshaking ? ClientFailure(.tls, "closed during the handshake") : ClientFailure(.emptyReply)
            exchange.failed(failure, connection.attempt)
        }
        context.fireChannelInactive()
    }
}
