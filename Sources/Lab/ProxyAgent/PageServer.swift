import DNS
import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix
import NetworkAddresses
import Proxy

/// A port that answers HTTP requests with pages.
enum PageServer {
    /// Binds `endpoint` in `context`. `taken` hears of each request's connection.
    static func open(
        at endpoint: IPEndpoint, in context: any NetworkContext, on loop: any EventLoop,
        taken: @escaping @Sendable (Arrival.Stage, FiveTuple, AdminRequest?) -> Void,
        answer: @escaping @Sendable (AdminRequest) async -> AdminAnswer
    ) async throws -> any Channel {
        let descriptor = try BoundSocket.listener(at: endpoint, in: context)
        return try await ServerBootstrap(group: loop)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.configureHTTPServerPipeline(withErrorHandling: true)
                    try pipeline.addHandler(PageHandler(taken: taken, answer: answer))
                }
            }
            .withBoundSocket(descriptor).get()
    }
}

/// Answers one request after the other; bodies of requests are read and dropped.
private final class PageHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let taken: @Sendable (Arrival.Stage, FiveTuple, AdminRequest?) -> Void
    private let answer: @Sendable (AdminRequest) async -> AdminAnswer
    private var head: HTTPRequestHead?
    private var tuple: FiveTuple?

    init(
        taken: @escaping @Sendable (Arrival.Stage, FiveTuple, AdminRequest?) -> Void,
        answer: @escaping @Sendable (AdminRequest) async -> AdminAnswer
    ) {
        self.taken = taken
        self.answer = answer
    }

    func channelActive(context: ChannelHandlerContext) {
        if let peer = context.remoteAddress?.ipEndpoint, let local = context.localAddress?.ipEndpoint {
            tuple = FiveTuple(.tcp, from: peer, to: local)
        }
        if let tuple { taken(.accepted, tuple, nil) }
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        if let tuple { taken(.closed, tuple, nil) }
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): self.head = head
        case .body: break
        case .end:
            guard let head else { return }
            self.head = nil
            let request = AdminRequest(method: head.method.rawValue, target: head.uri)
            if let tuple { taken(.request, tuple, request) }
            let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
            let promise = context.eventLoop.makePromise(of: AdminAnswer.self)
            promise.completeWithTask { [answer] in await answer(request) }
            promise.futureResult.whenSuccess { bound.value.0.send($0, to: head, bound.value.1) }
        }
    }

    private func send(_ answer: AdminAnswer, to request: HTTPRequestHead, _ context: ChannelHandlerContext) {
        guard context.channel.isActive else { return }
        var headers: HTTPHeaders = [
            "content-type": answer.type, "cache-control": "no-cache, max-age=0",
            "x-content-type-options": "nosniff", "content-length": "\(answer.body.utf8.count)",
        ]
        if !request.isKeepAlive { headers.add(name: "connection", value: "close") }
        let head = HTTPResponseHead(
            version: request.version, status: HTTPResponseStatus(statusCode: answer.status), headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if request.method != .HEAD {
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: answer.body)))), promise: nil)
        }
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        let closes = !request.isKeepAlive
        context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { _ in
            if closes { bound.value.close(promise: nil) }
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
