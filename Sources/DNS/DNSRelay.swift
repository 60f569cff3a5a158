internal import Glibc
internal import NIOCore
internal import NIOPosix
internal import NetworkAddresses
internal import Proxy

/// One query on its way to other servers: to each in turn, until one has an answer.
///
/// All state is confined to the event loop.
final class DNSRelay: @unchecked Sendable {
    typealias Server = (server: IPEndpoint, source: IPAddress?)

    private let query: DNSQuery
    private let context: any NetworkContext
    private let loop: any EventLoop
    private let onAttempt: (FiveTuple, @escaping @Sendable () -> Void) -> Void
    private let onEnd: (FiveTuple) -> Void
    private var completion: (([UInt8]?) -> Void)?
    private var servers: [Server]
    /// The last answer that says that its server could not help.
    private var unhelpful: [UInt8]?
    private var attempt = 0
    private var tuple: FiveTuple?
    private var channel: (any Channel)?
    private var timer: Scheduled<Void>?

    init(
        _ query: DNSQuery, to servers: [Server], in context: any NetworkContext, on loop: any EventLoop,
        onAttempt: @escaping (FiveTuple, @escaping @Sendable () -> Void) -> Void, onEnd: @escaping (FiveTuple) -> Void
    ) {
        self.query = query
        self.servers = servers.reversed()
        self.context = context
        self.loop = loop
        self.onAttempt = onAttempt
        self.onEnd = onEnd
    }

    /// Calls `completion` once, with the answer that is to be passed on; nil: no server answered.
    func start(_ completion: @escaping ([UInt8]?) -> Void) {
        self.completion = completion
        nextServer()
    }

    private func nextServer() {
        endAttempt()
        guard let (server, source) = servers.popLast() else {
            completion?(unhelpful)
            completion = nil
            return
        }
        let number = attempt
        timer = loop.scheduleTask(in: DNSForwarder.timeout) { [self] in failed(number) }
        do {
            if query.tuple.transport == .udp {
                try ask(server, from: source, number)
            } else {
                try connect(to: server, from: source, number)
            }
        } catch {
            failed(number)
        }
    }

    private func endAttempt() {
        // Closing makes the channel report once more, at once: that is no news.
        attempt += 1
        timer?.cancel()
        channel?.close(promise: nil)
        if let tuple { onEnd(tuple) }
        (timer, channel, tuple) = (nil, nil, nil)
    }

    private func attempting(_ tuple: FiveTuple, _ number: Int) {
        guard number == attempt else { return }
        self.tuple = tuple
        onAttempt(tuple) { [self] in loop.execute { [self] in failed(number) } }
    }

    private func ask(_ server: IPEndpoint, from source: IPAddress?, _ number: Int) throws {
        let (descriptor, local) = try BoundSocket.connected(SOCK_DGRAM, to: server, from: source, in: context)
        attempting(FiveTuple(.udp, from: local, to: server), number)
        let bytes = Array(query.bytes.readableBytesView)
        guard send(descriptor, bytes, bytes.count, CInt(MSG_NOSIGNAL)) >= 0 else {
            close(descriptor)
            return failed(number)
        }
        DatagramBootstrap(group: loop)
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 65_536))
            .channelInitializer { [self] channel in
                channel.eventLoop.makeCompletedFuture {
                    guard isCurrent(number) else { return channel.close(promise: nil) }
                    self.channel = channel
                    try channel.pipeline.syncOperations.addHandler(RelayDatagramHandler(relay: self, number))
                }
            }
            .withBoundSocket(descriptor)
            .whenFailure { [self] _ in failed(number) }
    }

    private func connect(to server: IPEndpoint, from source: IPAddress?, _ number: Int) throws {
        let address = try SocketAddress(at: server)
        let local = try source.map { try SocketAddress(at: IPEndpoint($0, 0)) }
        let bytes = Array(query.bytes.readableBytesView)
        // The socket is made inside, and synchronously; only its connecting ends later.
        let future = try context.enter {
            let bootstrap = ClientBootstrap(group: loop)
                .channelInitializer { [self] channel in
                    channel.eventLoop.makeCompletedFuture {
                        self.channel = channel
                        try channel.pipeline.syncOperations.addHandler(
                            AnnouncingConnect { [self] in
                                attempting(FiveTuple(.tcp, from: $0, to: server), number)
                            })
                        try channel.pipeline.syncOperations.addHandler(
                            RelayStreamHandler(relay: self, query: bytes, number))
                    }
                }
            return (local.map { bootstrap.bind(to: $0) } ?? bootstrap).connect(to: address)
        }
        future.whenFailure { [self] _ in failed(number) }
    }

    func isCurrent(_ number: Int) -> Bool { number == attempt && completion != nil }

    func received(_ bytes: ByteBuffer, _ number: Int) {
        let view = bytes.readableBytesView
        guard isCurrent(number), let response = DNSMessage.response(view),
            let asked = DNSMessage.question(query.bytes.readableBytesView),
            // Whoever answers something else is somebody else.
            view.prefix(2).elementsEqual(query.bytes.readableBytesView.prefix(2)), response.name == asked.name,
            response.type == asked.type
        else { return }
        guard response.code == .noError || response.code == .nameError else {
            unhelpful = Array(view)
            return nextServer()
        }
        endAttempt()
        completion?(Array(view))
        completion = nil
    }

    /// The attempt is over without an answer.
    func failed(_ number: Int) {
        if isCurrent(number) { nextServer() }
    }
}

private final class RelayDatagramHandler: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>

    private let relay: DNSRelay
    private let number: Int

    init(relay: DNSRelay, _ number: Int) {
        self.relay = relay
        self.number = number
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        relay.received(unwrapInboundIn(data).data, number)
    }

    // ECONNREFUSED: an ICMP error says that nobody listens there, or that a rule rejects.
    func errorCaught(context: ChannelHandlerContext, error: any Error) { relay.failed(number) }
}

private final class RelayStreamHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let relay: DNSRelay
    private let query: [UInt8]
    private let number: Int
    private var parser = DNSStreamParser()

    init(relay: DNSRelay, query: [UInt8], _ number: Int) {
        self.relay = relay
        self.query = query
        self.number = number
    }

    func channelActive(context: ChannelHandlerContext) {
        context.writeAndFlush(NIOAny(DNSStreamParser.frame(query, context.channel.allocator)), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        if let response = parser.next(adding: &bytes) { relay.received(response, number) }
    }

    func channelInactive(context: ChannelHandlerContext) { relay.failed(number) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { relay.failed(number) }
}
