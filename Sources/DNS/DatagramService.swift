internal import Glibc
package import NIOCore
internal import NIOPosix
package import NetworkAddresses
package import Proxy

/// A UDP server whose replies leave from the address that was asked, also where one socket holds every address.
package final class DatagramService: Sendable {
    private let channel: any Channel
    /// Where the service is bound.
    package let endpoint: IPEndpoint

    /// Binds `endpoint` in `context` and answers each datagram with what `reply` returns; nil sends nothing.
    package convenience init(
        at endpoint: IPEndpoint, in context: any NetworkContext, on loop: any EventLoop,
        reply: @escaping @Sendable (FiveTuple, ByteBuffer) -> [UInt8]?
    ) throws {
        try self.init(at: endpoint, in: context, on: loop) { (datagram: Datagram) in
            if let bytes = reply(datagram.tuple, datagram.bytes) { datagram.reply(bytes) }
        }
    }

    /// Binds `endpoint` in `context` and hands out each datagram, which may be answered later.
    package init(
        at endpoint: IPEndpoint, in context: any NetworkContext, on loop: any EventLoop,
        receive: @escaping @Sendable (Datagram) -> Void
    ) throws {
        let descriptor = try BoundSocket.datagram(at: endpoint, in: context)
        let local: IPEndpoint
        do {
            local = try BoundSocket.localEndpoint(of: descriptor)
        } catch {
            Glibc.close(descriptor)
            throw error
        }
        self.endpoint = local
        channel = try DatagramBootstrap(group: loop)
            .channelOption(.receivePacketInfo, value: true)
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 65_536))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        DatagramServiceHandler(descriptor: descriptor, local: local, receive: receive))
                }
            }
            .withBoundSocket(descriptor).wait()
    }

    /// Ends the service; the future succeeds when the socket is closed.
    @discardableResult
    package func close() -> EventLoopFuture<Void> { channel.close() }
}

/// A datagram that was received, and the way back.
package struct Datagram: Sendable {
    package let bytes: ByteBuffer
    /// From who sent it to where it was sent.
    package let tuple: FiveTuple
    fileprivate let peer: SocketAddress
    fileprivate let channel: any Channel
    fileprivate let descriptor: CInt

    /// Sends `bytes` back from the address that was asked. To be called on the service's loop; a service that has ended
    /// sends nothing.
    package func reply(_ bytes: [UInt8]) {
        channel.eventLoop.preconditionInEventLoop()
        guard channel.isActive else { return }
        PacketInformation.send(bytes, to: peer, from: tuple.destination.address, on: descriptor)
    }
}

/// Replies go by `sendmsg` itself: NIO can receive packet information but not send it.
private final class DatagramServiceHandler: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>

    private let descriptor: CInt
    private let local: IPEndpoint
    private let receive: @Sendable (Datagram) -> Void

    init(descriptor: CInt, local: IPEndpoint, receive: @escaping @Sendable (Datagram) -> Void) {
        self.descriptor = descriptor
        self.local = local
        self.receive = receive
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let envelope = unwrapInboundIn(data)
        guard let peer = envelope.remoteAddress.ipEndpoint else { return }
        let asked = envelope.metadata?.packetInfo?.destinationAddress.ipEndpoint?.address ?? local.address
        let tuple = FiveTuple(.udp, from: peer, to: IPEndpoint(asked, local.port))
        receive(
            Datagram(
                bytes: envelope.data, tuple: tuple, peer: envelope.remoteAddress, channel: context.channel,
                descriptor: descriptor))
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // An ICMP error about an earlier reply concerns a client that has gone; the service stays.
    }
}

/// The control message that says from which address a datagram leaves (`man 7 ip`, IP_PKTINFO).
private enum PacketInformation {
    static func send(_ bytes: [UInt8], to peer: SocketAddress, from source: IPAddress, on descriptor: CInt) {
        var control = controlMessage(source)
        var payload = bytes
        peer.withSockAddr { address, size in
            payload.withUnsafeMutableBytes { payload in
                control.withUnsafeMutableBytes { control in
                    var vector = iovec(iov_base: payload.baseAddress, iov_len: payload.count)
                    withUnsafeMutablePointer(to: &vector) { vector in
                        var message = msghdr()
                        message.msg_name = UnsafeMutableRawPointer(mutating: address)
                        message.msg_namelen = socklen_t(size)
                        message.msg_iov = vector
                        message.msg_iovlen = 1
                        message.msg_control = control.baseAddress
                        message.msg_controllen = control.count
                        // A full buffer loses the reply, as UDP may.
                        _ = sendmsg(descriptor, &message, CInt(MSG_DONTWAIT))
                    }
                }
            }
        }
    }

    /// struct cmsghdr { size_t cmsg_len; int cmsg_level; int cmsg_type; }, then
    /// struct in_pktinfo { int ipi_ifindex; struct in_addr ipi_spec_dst, ipi_addr; } or
    /// struct in6_pktinfo { struct in6_addr ipi6_addr; unsigned ipi6_ifindex; }, padded to 8 bytes.
    private static func controlMessage(_ source: IPAddress) -> [UInt8] {
        let isIPv4 = source.family == .ipv4
        let data = isIPv4 ? [0, 0, 0, 0] + source.bytes + source.bytes : source.bytes + [0, 0, 0, 0]
        let level = CInt(isIPv4 ? IPPROTO_IP : IPPROTO_IPV6)
        let type = isIPv4 ? IP_PKTINFO : IPV6_PKTINFO
        var message: [UInt8] = []
        withUnsafeBytes(of: 16 + data.count) { message += $0 }
        withUnsafeBytes(of: level) { message += $0 }
        withUnsafeBytes(of: type) { message += $0 }
        message += data
        return message + [UInt8](repeating: 0, count: -message.count & 7)
    }
}
