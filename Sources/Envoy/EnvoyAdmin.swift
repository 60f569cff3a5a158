import NIOCore
import NIOHTTP1
import NIOPosix
import Proxy

/// Envoy's administration interface, behind a unix socket.
struct EnvoyAdmin: Sendable {
    /// An answer that is none.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    let socket: String
    let loop: any EventLoop

    /// The body of the answer to `GET path`; any but 200 is thrown.
    func get(_ path: String, timeout: TimeAmount = .seconds(5)) async throws -> String {
        let answer = try await ask(.GET, path, timeout: timeout)
        guard answer.status == 200 else {
            throw Failure(description: "GET \(path): \(answer.status) \(answer.body)")
        }
        return answer.body
    }

    /// The answer, whatever it says.
    func ask(_ method: HTTPMethod, _ path: String, timeout: TimeAmount = .seconds(5)) async throws -> AdminAnswer {
        let answer = loop.makePromise(of: AdminAnswer.self)
        let deadline = loop.scheduleTask(in: timeout) {
            answer.fail(Failure(description: "no answer to GET \(path) within \(timeout.nanoseconds / 1_000_000) ms"))
        }
        let connected = ClientBootstrap(group: loop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.addHTTPClientHandlers()
                    try pipeline.addHandler(AnswerHandler(method: method, path: path, answer: answer))
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

        private let method: HTTPMethod
        private let path: String
        private let answer: EventLoopPromise<AdminAnswer>
        private var head: HTTPResponseHead?
        private var body = ByteBuffer()

        init(method: HTTPMethod, path: String, answer: EventLoopPromise<AdminAnswer>) {
            self.method = method
            self.path = path
            self.answer = answer
        }

        func channelActive(context: ChannelHandlerContext) {
            let head = HTTPRequestHead(
                version: .http1_1, method: method, uri: path,
                headers: ["host": "envoy", "connection": "close", "content-length": "0"])
            context.write(wrapOutboundOut(.head(head)), promise: nil)
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head): self.head = head
            case .body(var bytes): body.writeBuffer(&bytes)
            case .end:
                answer.succeed(
                    AdminAnswer(
                        status: Int(head?.status.code ?? 0), type: head?.headers["content-type"].first ?? "text/plain",
                        String(buffer: body)))
            }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            answer.fail(error)
            context.close(promise: nil)
        }

        func channelInactive(context: ChannelHandlerContext) {
            answer.fail(Failure(description: "\(method) \(path): the connection ended before the answer did"))
        }
    }
}
