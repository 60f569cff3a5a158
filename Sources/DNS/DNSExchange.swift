internal import Glibc
internal import NIOCore
internal import NIOPosix
internal import NetworkAddresses
internal import Proxy

/// One try with one server: a query for each family from one UDP socket, as glibc sends them; TCP where truncated.
/// Confined to its event loop.
final class DNSExchange: @unchecked Sendable {
    typealias Outcome = Result<[DNSResponse], DNSFailure>

    /// The addresses of the sockets that were used.
    private(set) var tuples: [FiveTuple] = []

    private let name: String
    private let server: IPEndpoint
    private let context: any NetworkContext
    private let loop: any EventLoop
    private let timeout: TimeAmount
    private let onAttempt: @Sendable (FiveTuple) -> Void
    private var completion: ((Outcome) -> Void)?
    private var pending: [UInt16: DNSRecordType] = [:]
    private var responses: [DNSResponse] = []
    private var timer: Scheduled<Void>?
    private var channels: [any Channel] = []

    init(
        name: String, families: [IPFamily], server: IPEndpoint, context: any NetworkContext, loop: any EventLoop,
        timeout: TimeAmount, onAttempt: @escaping @Sendable (FiveTuple) -> Void,
        completion: @escaping (Outcome) -> Void
    ) {
        self.name = name
        self.server = server
        self.context = context
        self.loop = loop
        self.timeout = timeout
        self.onAttempt = onAttempt
        self.completion = completion
        for family in families {
            var id = UInt16.random(in: .min ... .max)
            while pending[id] != nil { id &+= 1 }
            pending[id] = DNSRecordType(family)
        }
    }

    func start() {
        // A name that can't be written doesn't exist.
        let queries = pending.compactMap { DNSMessage.query(id: $0.key, name: name, type: $0.value) }
        guard queries.count == pending.count, !queries.isEmpty else { return finish(.failure(.nameError)) }
        let connected: (descriptor: CInt, local: IPEndpoint)
        do {
            connected = try BoundSocket.connected(SOCK_DGRAM, to: server, in: context)
        } catch {
            return finish(.failure(.unreachable))
        }
        let tuple = FiveTuple(.udp, from: connected.local, to: server)
        tuples.append(tuple)
        onAttempt(tuple)
        let sent = queries.allSatisfy { send(connected.descriptor, $0, $0.count, CInt(MSG_NOSIGNAL)) >= 0 }
        guard sent else {
            close(connected.descriptor)
            return finish(.failure(.unreachable))
        }
        timer = loop.scheduleTask(in: timeout) { [weak self] in self?.finish(.failure(.timeout)) }
        DatagramBootstrap(group: loop)
            .channelInitializer { [self] channel in
                channel.eventLoop.makeCompletedFuture {
                    channels.append(channel)
                    let handler = DNSDatagramHandler(exchange: self)
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
            .withBoundSocket(connected.descriptor)
            .whenFailure { [self] _ in finish(.failure(.unreachable)) }
    }

    func cancel() { finish(.failure(.cancelled)) }

    func received(_ bytes: ByteBuffer, overTCP: Bool) {
        guard completion != nil, let response = DNSMessage.response(bytes.readableBytesView),
            response.name == name.lowercased(), pending[response.id] == response.type
        else { return }
        if response.isTruncated, !overTCP { return askOverTCP(response.id, response.type) }
        pending[response.id] = nil
        switch response.code {
        case .noError, .nameError:
            responses.append(response)
            if pending.isEmpty { finish(.success(responses)) }
        case .refused: finish(.failure(.refused))
        default: finish(.failure(.serverFailure))
        }
    }

    func failed() { finish(.failure(.unreachable)) }

    private func askOverTCP(_ id: UInt16, _ type: DNSRecordType) {
        guard let query = DNSMessage.query(id: id, name: name, type: type) else { return failed() }
        do {
            // The address that UDP was given is the one that TCP would be given.
            let local = tuples.first?.source.address ?? server.address
            let (address, source) = (try SocketAddress(at: server), try SocketAddress(at: IPEndpoint(local, 0)))
            // The socket is made inside, and synchronously; only its connecting ends later.
            let future = try context.enter {
                ClientBootstrap(group: loop)
                    .channelInitializer { [self] channel in
                        channel.eventLoop.makeCompletedFuture {
                            channels.append(channel)
                            let handler = DNSConnectionHandler(exchange: self, query: query)
                            try channel.pipeline.syncOperations.addHandler(
                                AnnouncingConnect { [self] in
                                    connecting(from: $0)
                                })
                            try channel.pipeline.syncOperations.addHandler(handler)
                        }
                    }
                    .bind(to: source)
                    .connect(to: address)
            }
            future.whenFailure { [self] _ in failed() }
        } catch {
            failed()
        }
    }

    func connecting(from local: IPEndpoint) {
        let tuple = FiveTuple(.tcp, from: local, to: server)
        tuples.append(tuple)
        onAttempt(tuple)
    }

    private func finish(_ outcome: Outcome) {
        guard let completion else { return }
        self.completion = nil
        timer?.cancel()
        channels.forEach { $0.close(promise: nil) }
        channels = []
        completion(outcome)
    }
}

private final class DNSDatagramHandler: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>

    private let exchange: DNSExchange

    init(exchange: DNSExchange) { self.exchange = exchange }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        exchange.received(unwrapInboundIn(data).data, overTCP: false)
    }

    // ECONNREFUSED: an ICMP error says that nobody listens there, or that a rule rejects.
    func errorCaught(context: ChannelHandlerContext, error: any Error) { exchange.failed() }
}

private final class DNSConnectionHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let exchange: DNSExchange
    private let query: [UInt8]
    private var parser = DNSStreamParser()

    init(exchange: DNSExchange, query: [UInt8]) {
        self.exchange = exchange
        self.query = query
    }

    func channelActive(context: ChannelHandlerContext) {
        context.writeAndFlush(NIOAny(DNSStreamParser.frame(query, context.channel.allocator)), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        var message = parser.next(adding: &bytes)
        while let response = message {
            exchange.received(response, overTCP: true)
            message = parser.next()
        }
    }

    func channelInactive(context: ChannelHandlerContext) { exchange.failed() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { exchange.failed() }
}
