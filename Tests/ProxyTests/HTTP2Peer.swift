import NIOConcurrencyHelpers
import NIOCore
import NIOHPACK
import NIOHTTP2
import NIOPosix
import NetworkAddresses

@testable import Proxy

/// A message of HTTP/2 as its receiver saw it.
struct HTTP2Message: Sendable, Equatable {
    var head = HPACKHeaders()
    var body = ByteBuffer()
    var trailers: HPACKHeaders?
    /// nil when the message is complete.
    var reset: HTTP2ErrorCode?

    subscript(name: String) -> String? { head.first(name: name) }
    var text: String { String(buffer: body) }
}

/// Gathers one message from a stream.
private final class HTTP2Gatherer: ChannelInboundHandler {
    typealias InboundIn = HTTP2Frame.FramePayload

    private var message = HTTP2Message()
    private var hasHead = false
    private var isDone = false
    private let done: (HTTP2Message, any Channel) -> Void

    init(_ done: @escaping (HTTP2Message, any Channel) -> Void) { self.done = done }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .headers(let frame):
            if hasHead { message.trailers = frame.headers } else { message.head = frame.headers }
            hasHead = true
            if frame.endStream { finish(context) }
        case .data(let frame):
            if case .byteBuffer(let bytes) = frame.data { message.body.writeImmutableBuffer(bytes) }
            if frame.endStream { finish(context) }
        default: break
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        message.reset = (error as? NIOHTTP2Errors.StreamClosed)?.errorCode ?? .internalError
        finish(context)
    }

    func channelInactive(context: ChannelHandlerContext) {
        if !isDone { message.reset = message.reset ?? .connectError }
        finish(context)
    }

    private func finish(_ context: ChannelHandlerContext) {
        guard !isDone else { return }
        isDone = true
        done(message, context.channel)
    }
}

/// An HTTP/2 server for one test, without TLS.
final class HTTP2Origin: Sendable {
    /// What a test sends: frames of one stream, in order.
    typealias Answer = [HTTP2Frame.FramePayload]

    let endpoint: IPEndpoint
    private let listener: any Channel
    private let children = NIOLockedValueBox<[any Channel]>([])

    init(
        maxConcurrentStreams: Int = 100, _ answer: @escaping @Sendable (HTTP2Message) -> Answer
    ) async throws {
        let children = children
        listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                children.withLockedValue { $0.append(channel) }
                return channel.eventLoop.makeCompletedFuture {
                    var configuration = NIOHTTP2Handler.ConnectionConfiguration()
                    configuration.initialSettings = [
                        HTTP2Setting(parameter: .maxConcurrentStreams, value: maxConcurrentStreams)
                    ]
                    let handler = NIOHTTP2Handler(
                        mode: .server, eventLoop: channel.eventLoop, connectionConfiguration: configuration
                    ) { stream in
                        stream.eventLoop.makeCompletedFuture {
                            let gatherer = HTTP2Gatherer { message, stream in
                                if message.reset != nil { return }
                                for frame in answer(message) { stream.write(frame, promise: nil) }
                                stream.flush()
                            }
                            try stream.pipeline.syncOperations.addHandler(gatherer)
                        }
                    }
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
            .bind(to: SocketAddress(ipAddress: "127.0.0.1", port: 0)).get()
        endpoint = IPEndpoint(.loopbackIPv4, UInt16(listener.localAddress?.port ?? 0))
    }

    /// Ends the connections that were accepted so far.
    func closeConnections() {
        for channel in children.withLockedValue({ $0 }) { channel.close(promise: nil) }
    }

    /// Tells the clients so far to open no more streams.
    func goAway() {
        for channel in children.withLockedValue({ $0 }) {
            let frame = HTTP2Frame(
                streamID: .rootStream,
                payload: .goAway(lastStreamID: .maxID, errorCode: .noError, opaqueData: nil))
            channel.writeAndFlush(frame, promise: nil)
        }
    }

    func stop() async throws { try await listener.close() }
}

extension HTTP2Origin.Answer {
    static func text(_ body: String, status: Int = 200, trailers: HPACKHeaders? = nil) -> Self {
        var head: HPACKHeaders = [":status": String(status)]
        if trailers == nil { head.add(name: "content-length", value: String(body.utf8.count)) }
        var frames: Self = [
            .headers(.init(headers: head)),
            .data(.init(data: .byteBuffer(ByteBuffer(string: body)), endStream: trailers == nil)),
        ]
        if let trailers { frames.append(.headers(.init(headers: trailers, endStream: true))) }
        return frames
    }
}

/// An HTTP/2 client for one test, without TLS.
final class HTTP2Client: Sendable {
    private let channel: any Channel
    private let multiplexer: NIOHTTP2Handler.StreamMultiplexer

    init(to endpoint: IPEndpoint) async throws {
        channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        NIOHTTP2Handler(mode: .client, eventLoop: channel.eventLoop) { $0.close() })
                }
            }
            .connect(to: SocketAddress(ipAddress: "\(endpoint.address)", port: Int(endpoint.port))).get()
        multiplexer = try await channel.pipeline.handler(type: NIOHTTP2Handler.self)
            .flatMap { $0.multiplexer }.get()
    }

    /// Sends a request and waits for its answer, or resets it when `cancelsWhen` returns.
    func send(
        _ method: String = "GET", _ path: String = "/", authority: String = "a", fields: HPACKHeaders = [:],
        body: ByteBuffer? = nil, trailers: HPACKHeaders? = nil, cancelsWhen: (() -> Void)? = nil
    ) async throws -> HTTP2Message {
        let promise = channel.eventLoop.makePromise(of: HTTP2Message.self)
        let stream = try await multiplexer.createStreamChannel { stream in
            stream.eventLoop.makeCompletedFuture {
                try stream.pipeline.syncOperations.addHandler(
                    HTTP2Gatherer { message, _ in promise.succeed(message) })
            }
        }.get()
        var head: HPACKHeaders = [":method": method, ":scheme": "http", ":path": path, ":authority": authority]
        for (name, value, _) in fields { head.add(name: name, value: value) }
        // A head that can't be sent would be waited for in vain.
        stream.write(
            HTTP2Frame.FramePayload.headers(.init(headers: head, endStream: body == nil && trailers == nil))
        ).whenFailure { promise.fail($0) }
        if let body {
            stream.write(
                HTTP2Frame.FramePayload.data(.init(data: .byteBuffer(body), endStream: trailers == nil)), promise: nil)
        }
        if let trailers {
            stream.write(
                HTTP2Frame.FramePayload.headers(.init(headers: trailers, endStream: true)), promise: nil)
        }
        stream.flush()
        if let cancelsWhen {
            cancelsWhen()
            stream.close(promise: nil)
        }
        return try await promise.futureResult.get()
    }

    func close() async throws { try await channel.close() }
}
