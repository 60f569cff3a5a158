import NIOCore

/// Cuts what a pipe delivers into lines, without their newlines.
final class LineHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private var pending = ByteBuffer()
    private let takesUnfinished: Bool
    private let receive: @Sendable (String) -> Void

    /// - Parameter takesUnfinished: whether what follows the last newline counts as a line at the end.
    init(takesUnfinished: Bool, receive: @escaping @Sendable (String) -> Void) {
        self.takesUnfinished = takesUnfinished
        self.receive = receive
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        pending.writeBuffer(&bytes)
        while let end = pending.readableBytesView.firstIndex(of: UInt8(ascii: "\n")) {
            let line = pending.readString(length: end - pending.readerIndex) ?? ""
            pending.moveReaderIndex(forwardBy: 1)
            receive(line)
        }
        pending.discardReadBytes()
    }

    func channelInactive(context: ChannelHandlerContext) {
        if takesUnfinished, pending.readableBytes > 0 { receive(String(buffer: pending)) }
        pending.clear()
        context.fireChannelInactive()
    }
}
