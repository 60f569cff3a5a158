internal import Manifests
internal import NIOCore
internal import NIOHTTP1
internal import NetworkAddresses

/// Gathers a request, tells of it, and sends the app's answer.
final class WebAppHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let connection: ServerConnection
    private let isTLS: Bool
    /// True for plain HTTP on a port that speaks TLS.
    private let isRefused: Bool
    private var head: HTTPRequestHead?
    private var body: [UInt8] = []
    private var isAnswering = false
    private var isInputClosed = false

    init(_ connection: ServerConnection, isTLS: Bool, isRefused: Bool) {
        self.connection = connection
        self.isTLS = isTLS
        self.isRefused = isRefused
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
            body = []
            if head.headers["expect"].contains("100-continue") {
                let head = HTTPResponseHead(version: head.version, status: .continue)
                context.writeAndFlush(wrapOutboundOut(.head(head)), promise: nil)
            }
        case .body(let bytes): body += bytes.readableBytesView
        case .end:
            guard let head else { return }
            self.head = nil
            answer(head, context)
        }
    }

    private func answer(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        let request = WebRequest(
            method: head.method.rawValue, target: head.uri,
            headers: head.headers.map { (name: $0.name, value: $0.value) }, body: body, isTLS: isTLS,
            origin: connection.tuple.source.address.description)
        connection.tell(request)
        let response =
            if isRefused {
                WebResponse(
                    status: 400, body: "Client sent an HTTP request to an HTTPS server.\n",
                    type: "text/plain; charset=utf-8")
            } else {
                connection.port.app(request.hostName).respond(to: request)
            }
        isAnswering = true
        guard response.delayMs > 0 else { return send(response, to: head, context) }
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.eventLoop.scheduleTask(in: .milliseconds(Int64(response.delayMs))) {
            bound.value.0.send(response, to: head, bound.value.1)
        }
    }

    private func send(_ response: WebResponse, to request: HTTPRequestHead, _ context: ChannelHandlerContext) {
        guard context.channel.isActive else { return }
        isAnswering = false
        // Streams of HTTP/2 end by themselves.
        let isStream = request.version.major > 1
        let keepsAlive = isStream || request.isKeepAlive && !isInputClosed && !isRefused
        var headers = HTTPHeaders(response.headers.map { ($0.name, $0.value) })
        headers.add(name: "server", value: "egress-lab")
        let hasBody = ![204, 304].contains(response.status)
        if hasBody { headers.add(name: "content-length", value: String(response.body.count)) }
        if !keepsAlive {
            headers.add(name: "connection", value: "close")
        } else if request.version.minor == 0, !isStream {
            headers.add(name: "connection", value: "keep-alive")
        }
        let head = HTTPResponseHead(
            version: request.version, status: HTTPResponseStatus(statusCode: response.status), headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if request.method != .HEAD, hasBody, !response.body.isEmpty {
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: response.body)))), promise: nil)
        }
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        let sent = context.eventLoop.makePromise(of: Void.self)
        if !keepsAlive { sent.futureResult.whenComplete { _ in bound.value.close(promise: nil) } }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: sent)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .inputClosed? = event as? ChannelEvent {
            isInputClosed = true
            if !isAnswering { context.close(promise: nil) }
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
