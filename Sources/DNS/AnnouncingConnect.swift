package import NIOCore
package import NetworkAddresses

/// Reports a TCP socket's own address and port before its SYN leaves when the socket is bound, else right after.
///
/// NIO binds before the pipeline sees `connect`, so the port is known here although no packet was sent.
package final class AnnouncingConnect: ChannelOutboundHandler, RemovableChannelHandler {
    package typealias OutboundIn = ByteBuffer

    private let announce: (IPEndpoint) -> Void

    package init(_ announce: @escaping (IPEndpoint) -> Void) { self.announce = announce }

    package func connect(
        context: ChannelHandlerContext, to address: SocketAddress, promise: EventLoopPromise<Void>?
    ) {
        if let local = context.localAddress?.ipEndpoint, local.port != 0, !local.address.isUnspecified {
            announce(local)
            context.connect(to: address, promise: promise)
        } else {
            // The kernel has chosen the address by the time that the call returns.
            context.connect(to: address, promise: promise)
            if let local = context.localAddress?.ipEndpoint, local.port != 0 { announce(local) }
        }
    }
}
