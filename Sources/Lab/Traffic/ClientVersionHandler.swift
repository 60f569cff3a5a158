internal import NIOCore
internal import NIOHTTP2
internal import NIOTLS

/// Makes an HTTP/2 connection ready: by prior knowledge, or as the server chose inside TLS; then sends the request.
final class ClientVersionHandler: ChannelInboundHandler {
    typealias InboundIn = Any

    private let connection: ClientConnection
    private let isTLS: Bool
    private var isReady = false

    init(_ connection: ClientConnection, isTLS: Bool) {
        self.connection = connection
        self.isTLS = isTLS
    }

    private var exchange: ClientExchange { connection.exchange }

    func channelActive(context: ChannelHandlerContext) {
        exchange.connected(connection.attempt)
        if !isTLS { begin(context, isHTTP2: true) }
        context.fireChannelActive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted(let negotiated)? = event as? TLSUserEvent, !isReady,
            connection.authenticate(context)
        {
            begin(context, isHTTP2: negotiated == "h2")
        }
        context.fireUserInboundEventTriggered(event)
    }

    private func begin(_ context: ChannelHandlerContext, isHTTP2: Bool) {
        isReady = true
        do {
            let operations = context.pipeline.syncOperations
            guard isHTTP2 else {
                try connection.addHTTP1(to: operations, isTLS: isTLS, isConnected: true)
                return
            }
            let handler = NIOHTTP2Handler(mode: .client, eventLoop: context.eventLoop) { $0.close() }
            try operations.addHandlers([handler, ClientStreamErrors(connection)])
            let bound = NIOLoopBound(connection, eventLoop: context.eventLoop)
            let isTLS = isTLS
            try handler.syncMultiplexer().createStreamChannel { stream in
                stream.eventLoop.makeCompletedFuture {
                    try stream.pipeline.syncOperations.addHandlers([
                        HTTP2FramePayloadToHTTP1ClientCodec(httpProtocol: isTLS ? .https : .http),
                        ClientHTTPHandler(bound.value, isTLS: isTLS, isConnected: true),
                    ])
                }
            }.whenFailure { error in
                bound.value.exchange.failed(
                    .exchanging(error, isHandshaking: false, hasAnswer: false), bound.value.attempt)
            }
        } catch {
            fail(error)
        }
    }

    private func fail(_ error: any Error) {
        exchange.failed(.exchanging(error, isHandshaking: !isReady, hasAnswer: false), connection.attempt)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if isReady { return context.fireErrorCaught(error) }
        fail(error)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        if !isReady { exchange.failed(ClientFailure(.tls, "closed during the handshake"), connection.attempt) }
        context.fireChannelInactive()
    }
}

/// Ends the exchange with what ended its whole HTTP/2 connection.
private final class ClientStreamErrors: ChannelInboundHandler {
    typealias InboundIn = HTTP2Frame

    private let connection: ClientConnection

    init(_ connection: ClientConnection) { self.connection = connection }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // Errors of the stream reach its own channel, too.
        if error is NIOHTTP2Errors.StreamError { return }
        connection.exchange.failed(
            .exchanging(error, isHandshaking: false, hasAnswer: false), connection.attempt)
        context.close(promise: nil)
    }
}
