import DNS
import NIOCore
import NIOHTTP1
import NIOPosix
import NetworkAddresses
import Proxy

/// A request to a program in the same pod.
enum LocalRequest {
    private static let patience = TimeAmount.seconds(1)

    /// The answer to `GET path`; throws where nobody listens or answers in time.
    ///
    /// - Parameter isConnectOnly: a connection is answer enough.
    static func get(
        _ path: String, at endpoint: IPEndpoint, in context: any NetworkContext, on loop: any EventLoop,
        isConnectOnly: Bool = false
    ) async throws -> AdminAnswer {
        let promise = loop.makePromise(of: AdminAnswer.self)
        let limit = loop.scheduleTask(in: patience) { promise.fail(ChannelError.connectTimeout(patience)) }
        // On the loop NIO makes the socket at once, so that it is the pod's.
        let connecting = loop.submit { () -> EventLoopFuture<any Channel> in
            try context.enter {
                ClientBootstrap(group: loop)
                    .connectTimeout(patience)
                    .channelInitializer { channel in
                        channel.eventLoop.makeCompletedFuture {
                            guard !isConnectOnly else { return }
                            try channel.pipeline.syncOperations.addHTTPClientHandlers()
                            try channel.pipeline.syncOperations.addHandler(
                                LocalAnswerHandler(path: path, port: endpoint.port, promise: promise))
                        }
                    }
                    .connect(to: try SocketAddress(at: endpoint))
            }
        }.flatMap { $0 }
        connecting.whenFailure(promise.fail)
        if isConnectOnly { connecting.whenSuccess { _ in promise.succeed(AdminAnswer("")) } }
        promise.futureResult.whenComplete { _ in
            limit.cancel()
            connecting.whenSuccess { $0.close(promise: nil) }
        }
        return try await promise.futureResult.get()
    }
}

private final class LocalAnswerHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    private let path: String
    private let port: UInt16
    private let promise: EventLoopPromise<AdminAnswer>
    private var status = 0
    private var body = ByteBuffer()

    init(path: String, port: UInt16, promise: EventLoopPromise<AdminAnswer>) {
        (self.path, self.port, self.promise) = (path, port, promise)
    }

    func channelActive(context: ChannelHandlerContext) {
        let head = HTTPRequestHead(
            version: .http1_1, method: .GET, uri: path,
            headers: ["host": "localhost:\(port)", "connection": "close"])
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): status = Int(head.status.code)
        case .body(var bytes): body.writeBuffer(&bytes)
        case .end: promise.succeed(AdminAnswer(status: status, String(buffer: body)))
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        promise.fail(error)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) { promise.fail(ChannelError.eof) }
}
