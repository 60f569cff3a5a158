import DNS
import Glibc
import NIOCore
import NIOPosix
import NetworkAddresses
import Proxy

/// Answers every INIT that comes to a namespace, whatever the port, from the address that it was sent to.
final class SCTPResponder: Sendable {
    private let channels: [any Channel]

    /// Receives on `loop`, where `sink` is called.
    ///
    /// Not to be called on an event loop: it waits for the sockets.
    init(
        families: [IPFamily], in context: any NetworkContext, on loop: any EventLoop,
        sink: @escaping @Sendable (FiveTuple) -> Void
    ) throws {
        channels = try families.map { family in
            let descriptor = try BoundSocket.raw(.sctp, family, in: context)
            return try DatagramBootstrap(group: loop)
                .channelOption(.receivePacketInfo, value: true)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(
                            SCTPResponderHandler(family: family, context: context, sink: sink))
                    }
                }
                .withBoundSocket(descriptor).wait()
        }
    }

    func close() { channels.forEach { $0.close(promise: nil) } }
}

private final class SCTPResponderHandler: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>

    private let family: IPFamily
    private let context: any NetworkContext
    private let sink: @Sendable (FiveTuple) -> Void

    init(family: IPFamily, context: any NetworkContext, sink: @escaping @Sendable (FiveTuple) -> Void) {
        self.family = family
        self.context = context
        self.sink = sink
    }

    func channelRead(context channel: ChannelHandlerContext, data: NIOAny) {
        let envelope = unwrapInboundIn(data)
        let bytes = SCTPPacket.payload(Array(envelope.data.readableBytesView), family)
        guard let packet = SCTPPacket(bytes), packet.kind == .initiate,
            let peer = envelope.remoteAddress.ipEndpoint?.address,
            let own = envelope.metadata?.packetInfo?.destinationAddress.ipEndpoint?.address
        else { return }
        sink(
            FiveTuple(
                .sctp, from: IPEndpoint(peer, packet.sourcePort), to: IPEndpoint(own, packet.destinationPort)))
        let answer = SCTPPacket(
            .initiateAcknowledgement, from: packet.destinationPort, to: packet.sourcePort,
            verificationTag: packet.initiateTag)
        // A socket of its own has the address that was asked; a peer that is gone by now needs no answer.
        guard
            let (descriptor, _) = try? BoundSocket.connected(
                SOCK_RAW, protocol: CInt(IPProtocol.sctp.rawValue), to: IPEndpoint(peer, 0), from: own, in: context)
        else { return }
        let reply = answer.bytes
        _ = send(descriptor, reply, reply.count, CInt(MSG_NOSIGNAL))
        close(descriptor)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {}
}
