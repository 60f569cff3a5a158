package import NIOCore
internal import NIOPosix
package import NetworkAddresses
package import Proxy

/// A DNS server over UDP and TCP.
package final class DNSServer: Sendable {
    /// One query that was read: who asked what, and how it was answered; no question when it was malformed.
    package struct Query: Sendable {
        package var tuple: FiveTuple
        package var question: DNSQuestion?
    }

    private let datagrams: [DatagramService]
    private let listeners: [any Channel]
    private let loop: any EventLoop
    /// Where the server is bound; each in UDP and TCP.
    package let endpoints: [IPEndpoint]

    /// Binds `port` of every address in `context`; `onQuery` is called on `loop`, before the reply leaves.
    ///
    /// Not to be called on an event loop: it waits for the sockets.
    package convenience init(
        addresses: [IPAddress], port: UInt16 = 53, in context: any NetworkContext, on loop: any EventLoop,
        responder: any DNSResponder, onQuery: @escaping @Sendable (Query) -> Void = { _ in }
    ) throws {
        try self.init(
            addresses: addresses, port: port, in: context, on: loop,
            service: ResponderService(responder: responder, onQuery: onQuery))
    }

    /// Binds `port` of every address in `context` for `service`; `onArrival` is called on `loop` for each datagram and
    /// each connection, whatever it brings.
    ///
    /// Not to be called on an event loop: it waits for the sockets.
    package init(
        addresses: [IPAddress], port: UInt16 = 53, in context: any NetworkContext, on loop: any EventLoop,
        service: any DNSService, onArrival: @escaping @Sendable (FiveTuple) -> Void = { _ in }
    ) throws {
        var datagrams: [DatagramService] = []
        var listeners: [any Channel] = []
        do {
            for address in addresses {
                let (datagram, descriptor) = try Self.bind(IPEndpoint(address, port), in: context, on: loop) {
                    datagram in
                    onArrival(datagram.tuple)
                    service.serve(DNSQuery(bytes: datagram.bytes, tuple: datagram.tuple), on: loop) { reply in
                        if let reply { datagram.reply(reply) }
                    }
                }
                datagrams.append(datagram)
                let listener = try ServerBootstrap(group: loop)
                    .childChannelInitializer { channel in
                        channel.eventLoop.makeCompletedFuture {
                            try channel.pipeline.syncOperations.addHandler(
                                DNSStreamHandler(service: service, onArrival: onArrival))
                        }
                    }
                    .withBoundSocket(descriptor).wait()
                listeners.append(listener)
            }
        } catch {
            datagrams.forEach { $0.close() }
            listeners.forEach { $0.close(promise: nil) }
            throw error
        }
        (self.datagrams, self.listeners, self.loop) = (datagrams, listeners, loop)
        endpoints = datagrams.map(\.endpoint)
    }

    /// One port for both protocols; where the caller asked for any, the one that UDP got may be taken in TCP.
    private static func bind(
        _ endpoint: IPEndpoint, in context: any NetworkContext, on loop: any EventLoop,
        receive: @escaping @Sendable (Datagram) -> Void
    ) throws -> (DatagramService, CInt) {
        var triesLeft = endpoint.port == 0 ? 10 : 1
        while true {
            let service = try DatagramService(at: endpoint, in: context, on: loop, receive: receive)
            triesLeft -= 1
            do {
                return (service, try BoundSocket.listener(at: service.endpoint, dualStack: false, in: context))
            } catch {
                service.close()
                if triesLeft == 0 { throw error }
            }
        }
    }

    /// Closes the sockets; connections end with their clients. The future succeeds when the ports are free.
    @discardableResult
    package func close() -> EventLoopFuture<Void> {
        let closing = datagrams.map { $0.close() } + listeners.map { $0.close() }
        return EventLoopFuture.andAllComplete(closing, on: loop)
    }
}

/// Messages over TCP, each after its length in two bytes (RFC 1035, 4.2.2).
struct DNSStreamParser {
    private var buffer = ByteBuffer()

    mutating func next(adding bytes: inout ByteBuffer) -> ByteBuffer? {
        buffer.writeBuffer(&bytes)
        return next()
    }

    /// True when no part of a message is left.
    var isEmpty: Bool { buffer.readableBytes == 0 }

    mutating func next() -> ByteBuffer? { buffer.readLengthPrefixedSlice(as: UInt16.self) }

    static func frame(_ bytes: [UInt8], _ allocator: ByteBufferAllocator) -> ByteBuffer {
        var buffer = allocator.buffer(capacity: bytes.count + 2)
        buffer.writeInteger(UInt16(truncatingIfNeeded: bytes.count))
        buffer.writeBytes(bytes)
        return buffer
    }
}

private final class DNSStreamHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    /// How long a client may take for the rest of a message, as other servers have it.
    private static let readTimeout = TimeAmount.seconds(2)

    private let service: any DNSService
    private let onArrival: @Sendable (FiveTuple) -> Void
    private var parser = DNSStreamParser()
    private var tuple: FiveTuple?
    private var timer: Scheduled<Void>?

    init(service: any DNSService, onArrival: @escaping @Sendable (FiveTuple) -> Void) {
        self.service = service
        self.onArrival = onArrival
    }

    func channelActive(context: ChannelHandlerContext) {
        guard let peer = context.remoteAddress?.ipEndpoint, let local = context.localAddress?.ipEndpoint else {
            return context.close(promise: nil)
        }
        let tuple = FiveTuple(.tcp, from: peer, to: local)
        self.tuple = tuple
        onArrival(tuple)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        var message = parser.next(adding: &bytes)
        while let query = message, let tuple {
            let channel = context.channel
            service.serve(DNSQuery(bytes: query, tuple: tuple), on: context.eventLoop) { reply in
                guard let reply else { return channel.close(promise: nil) }
                channel.writeAndFlush(DNSStreamParser.frame(reply, channel.allocator), promise: nil)
            }
            message = parser.next()
        }
        timer?.cancel()
        let channel = context.channel
        timer =
            parser.isEmpty
            ? nil : context.eventLoop.scheduleTask(in: Self.readTimeout) { channel.close(promise: nil) }
    }

    func channelInactive(context: ChannelHandlerContext) { timer?.cancel() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
