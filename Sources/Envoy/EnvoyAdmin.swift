import NIOCore
import NIOHTTP1
import NIOPosix

/// Envoy's administration interface, behind a unix socket.
struct EnvoyAdmin: Sendable {
    /// An answer that is none.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    let socket: String
    let loop: any EventLoop

    /// The body of the answer to `GET path`.
    func get(_ path: String, timeout: TimeAmount = .seconds(5)) async throws -> String {
        let answer = loop.makePromise(of: String.self)
        let deadline = loop.scheduleTask(in: timeout) {
            answer.fail(Failure(description: "no answer to GET \(path) within \(timeout.nanoseconds / 1_000_000) ms"))
        }
        let connected = ClientBootstrap(group: loop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.addHTTPClientHandlers()
                    try pipeline.addHandler(AnswerHandler(path: path, answer: answer))
                }
            }
            .connect(unixDomainSocketPath: socket)
        connected.whenFailure(answer.fail)
        answer.futureResult.whenComplete { _ in
            deadline.cancel()
            connected.whenSuccess { $0.close(promise: nil) }
        }
        return try await answer.futureResult.get()
    }

    private final class AnswerHandler: ChannelInboundHandler {
        typealias InboundIn = HTTPClientResponsePart
        typealias OutboundOut = HTTPClientRequestPart

        private let path: String
        private let answer: EventLoopPromise<String>
        private var status = HTTPResponseStatus.ok
        private var body = ByteBuffer()

        init(path: String, answer: EventLoopPromise<String>) {
            self.path = path
            self.answer = answer
        }

        func channelActive(context: ChannelHandlerContext) {
            let head = HTTPRequestHead(
                version: .http1_1, method: .GET, uri: path, headers: ["host": "envoy", "connection": "close"])
            context.write(wrapOutboundOut(.head(head)), promise: nil)
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head): status = head.status
            case .body(var bytes): body.writeBuffer(&bytes)
            case .end:
                if status == .ok {
                    answer.succeed(String(buffer: body))
                } else {
                    answer.fail(Failure(description: "GET \(path): \(status.code) \(String(buffer: body))"))
                }
            }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            answer.fail(error)
            context.close(promise: nil)
        }

        func channelInactive(context: ChannelHandlerContext) {
            answer.fail(Failure(description: "GET \(path): the connection ended before the answer did"))
        }
    }
}
