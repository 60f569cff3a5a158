internal import NIOCore
internal import NIOHTTP1
internal import NIOTLS

/// Sends the request once the connection is ready, and gathers the response.
final class ClientHTTPHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    private let connection: ClientConnection
    private var isHandshaking: Bool
    private let isConnected: Bool
    private var hasSent = false
    private var hasHead = false

    /// `isConnected`: another handler has made the connection, or the stream in it, ready.
    init(_ connection: ClientConnection, isTLS: Bool, isConnected: Bool = false) {
        self.connection = connection
        isHandshaking = isTLS && !isConnected
        self.isConnected = isConnected
    }

    func handlerAdded(context: ChannelHandlerContext) {
        if isConnected, context.channel.isActive { send(context) }
    }

    private var exchange: ClientExchange { connection.exchange }

    func channelActive(context: ChannelHandlerContext) {
        if !isConnected { exchange.connected(connection.attempt) }
        if !isHandshaking { send(context) }
        context.fireChannelActive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted? = event as? TLSUserEvent, isHandshaking {
            isHandshaking = false
            if connection.authenticate(context) { send(context) }
        }
        context.fireUserInboundEventTriggered(event)
    }

    private func send(_ context: ChannelHandlerContext) {
        guard !hasSent else { return }
        hasSent = true
        let request = exchange.request
        var headers = HTTPHeaders()
        func add(_ name: String, _ value: String) {
            if !request.headers.contains(where: { $0.name.lowercased() == name.lowercased() }) {
                headers.add(name: name, value: value)
            }
        }
        // HTTP/1.0 has no Host, but every client sends it.
        if request.hostHeader != "" { add("Host", connection.hostHeader) }
        add("User-Agent", "egress-lab")
        add("Accept", "*/*")
        let body = request.body.map { ByteBuffer(string: $0) }
        if let body { add("Content-Length", String(body.readableBytes)) }
        for header in request.headers { headers.add(name: header.name, value: header.value) }
        let version: HTTPVersion = request.httpVersion == "1.0" ? .http1_0 : .http1_1
        let head = HTTPRequestHead(
            version: version, method: HTTPMethod(rawValue: request.method),
            uri: request.path.isEmpty ? "/" : request.path, headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if let body, body.readableBytes > 0 { context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil) }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            hasHead = true
            let (major, minor) = (head.version.major, head.version.minor)
            exchange.answered(
                status: Int(head.status.code), version: major > 1 ? "\(major)" : "\(major).\(minor)",
                headers: head.headers.map { (name: $0.name, value: $0.value) }, connection.attempt)
            // What follows a tunnel's head isn't HTTP any more.
            if exchange.request.method == "CONNECT", head.status.code < 300 { exchange.completed(connection.attempt) }
        case .body(let bytes): exchange.received(bytes.readableBytesView, connection.attempt)
        case .end: exchange.completed(connection.attempt)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        exchange.failed(
            .exchanging(error, isHandshaking: isHandshaking, hasAnswer: hasHead), connection.attempt)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        let failure =
            if isHandshaking {
                ClientFailure(.tls, "closed during the handshake")
            } else if hasHead {
                ClientFailure(.malformed, "closed inside the body")
            } else {
                ClientFailure(.emptyReply)
            }
        exchange.failed(failure, connection.attempt)
        context.fireChannelInactive()
    }
}
