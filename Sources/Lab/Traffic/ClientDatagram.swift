internal import DNS
internal import Glibc
internal import NIOConcurrencyHelpers
internal import NIOCore
internal import NIOPosix
internal import NetworkAddresses
internal import Proxy

/// One datagram, echo request or SCTP INIT, and the wait for its answer. Confined to its event loop.
final class ClientDatagram: @unchecked Sendable {
    private static let identifiers = NIOLockedValueBox<UInt16>(0)

    private let exchange: ClientExchange
    private let attempt: Int
    private let endpoint: IPEndpoint
    private let isEcho: Bool
    private let isInitiation: Bool
    private var identifier: UInt16 = 0

    init(_ exchange: ClientExchange, attempt: Int, to endpoint: IPEndpoint) {
        self.exchange = exchange
        self.attempt = attempt
        self.endpoint = endpoint
        isEcho = exchange.request.kind == .icmp
        isInitiation = exchange.request.kind == .sctp
    }

    func open() {
        do {
            let (descriptor, tuple) = try connect()
            exchange.attempting(tuple, attempt)
            let text = Array((exchange.request.body ?? ClientBytesHandler.line).utf8)
            let bytes =
                isEcho
                ? echoRequest(text)
                : isInitiation ? SCTPPacket(.initiate, from: identifier, to: endpoint.port).bytes : text
            guard isEcho || isInitiation || !text.isEmpty else { return register(descriptor) }
            if send(descriptor, bytes, bytes.count, CInt(MSG_NOSIGNAL)) < 0 {
                let code = errno
                close(descriptor)
                return exchange.failed(.connecting(IOError(errnoCode: code, reason: "send")), attempt)
            }
            register(descriptor)
        } catch {
            let cause = (error as? SocketError).map { IOError(errnoCode: $0.code, reason: $0.call) as any Error }
            exchange.failed(.connecting(cause ?? error), attempt)
        }
    }

    private func connect() throws -> (CInt, FiveTuple) {
        let context = exchange.site.context
        let source =
            endpoint.address.isLoopback
            ? nil : exchange.site.sourceAddresses.first { $0.family == endpoint.address.family }
        if isInitiation {
            let (descriptor, local) = try BoundSocket.connected(
                SOCK_RAW, protocol: CInt(IPProtocol.sctp.rawValue), to: endpoint, from: source, in: context)
            identifier = exchange.ports.take(for: local.address)
            return (descriptor, FiveTuple(.sctp, from: IPEndpoint(local.address, identifier), to: endpoint))
        }
        guard isEcho else {
            let (descriptor, local) = try BoundSocket.connected(SOCK_DGRAM, to: endpoint, from: source, in: context)
            return (descriptor, FiveTuple(.udp, from: local, to: endpoint))
        }
        identifier = Self.identifiers.withLockedValue {
            $0 &+= 1
            return $0
        }
        let kind: IPProtocol = endpoint.address.family == .ipv4 ? .icmp : .icmpv6
        let (descriptor, local) = try BoundSocket.connected(
            SOCK_RAW, protocol: CInt(kind.rawValue), to: endpoint, from: source, in: context)
        return (
            descriptor,
            FiveTuple(
                kind, from: IPEndpoint(local.address, identifier), to: IPEndpoint(endpoint.address, 0))
        )
    }

    private func register(_ descriptor: CInt) {
        DatagramBootstrap(group: exchange.loop)
            .channelInitializer { [self] channel in
                channel.eventLoop.makeCompletedFuture {
                    exchange.opened(channel, attempt)
                    try channel.pipeline.syncOperations.addHandler(ClientDatagramHandler(self))
                }
            }
            .withBoundSocket(descriptor)
            .whenFailure { [self] in exchange.failed(.connecting($0), attempt) }
    }

    /// struct icmphdr { __u8 type, code; __sum16 checksum; __be16 id, sequence; }; the kernel sums ICMPv6 itself.
    private func echoRequest(_ payload: [UInt8]) -> [UInt8] {
        let isIPv4 = endpoint.address.family == .ipv4
        let id = [UInt8(identifier >> 8), UInt8(truncatingIfNeeded: identifier)]
        var message: [UInt8] = [isIPv4 ? 8 : 128, 0, 0, 0] + id + [0, 1] + payload
        guard isIPv4 else { return message }
        var sum: UInt32 = 0
        for index in stride(from: 0, to: message.count, by: 2) {
            sum += UInt32(message[index]) << 8 + (index + 1 < message.count ? UInt32(message[index + 1]) : 0)
        }
        while sum >> 16 != 0 { sum = sum & 0xffff + sum >> 16 }
        let checksum = ~UInt16(truncatingIfNeeded: sum)
        message[2] = UInt8(checksum >> 8)
        message[3] = UInt8(truncatingIfNeeded: checksum)
        return message
    }

    /// An IPv4 raw socket receives the IP header too, and sees every echo of its peer.
    private func echoReply(_ bytes: [UInt8]) -> ArraySlice<UInt8>? {
        let isIPv4 = endpoint.address.family == .ipv4
        let start = isIPv4 ? Int((bytes.first ?? 0) & 0xf) * 4 : 0
        guard bytes.count >= start + 8, bytes[start] == (isIPv4 ? 0 : 129),
            UInt16(bytes[start + 4]) << 8 | UInt16(bytes[start + 5]) == identifier
        else { return nil }
        return bytes[(start + 8)...]
    }

    func received(_ bytes: [UInt8]) {
        if isInitiation {
            // Whatever the answer is, somebody had the packet.
            let packet = SCTPPacket(SCTPPacket.payload(bytes, endpoint.address.family))
            guard let packet, packet.kind != .initiate, packet.destinationPort == identifier,
                packet.sourcePort == endpoint.port
            else { return }
            exchange.received(Array("\(packet.kind)".utf8), attempt)
            return exchange.completed(attempt)
        }
        guard isEcho else {
            exchange.received(bytes, attempt)
            return exchange.completed(attempt)
        }
        guard let payload = echoReply(bytes) else { return }
        exchange.received(payload, attempt)
        exchange.completed(attempt)
    }

    func failed(_ error: any Error) { exchange.failed(.connecting(error), attempt) }
}

private final class ClientDatagramHandler: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>

    private let datagram: ClientDatagram

    init(_ datagram: ClientDatagram) { self.datagram = datagram }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        datagram.received(Array(unwrapInboundIn(data).data.readableBytesView))
    }

    // An ICMP error came back: nobody listens there, or a rule rejects.
    func errorCaught(context: ChannelHandlerContext, error: any Error) { datagram.failed(error) }
}
