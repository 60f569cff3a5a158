internal import Manifests
internal import NIOCore
internal import NIOHTTP1
internal import NIOHTTP2
internal import NIOPosix
internal import NIOSSL
internal import NetworkAddresses
internal import Proxy

/// One accepted connection: what is known of it, and whom to tell.
final class ServerConnection {
    let site: Arrival.Site
    let port: ServedPort
    let tuple: FiveTuple
    let authority: LabCertificateAuthority
    var serverName: String?
    private let sink: @Sendable (Arrival) -> Void

    init(
        site: Arrival.Site, port: ServedPort, tuple: FiveTuple, authority: LabCertificateAuthority,
        sink: @escaping @Sendable (Arrival) -> Void
    ) {
        self.site = site
        self.port = port
        self.tuple = tuple
        self.authority = authority
        self.sink = sink
    }

    func tell(_ stage: Arrival.Stage) { sink(Arrival(stage, at: site, tuple, serverName: serverName)) }

    func tell(_ request: WebRequest) {
        sink(
            Arrival(
                .request, at: site, tuple, serverName: serverName, host: request.host, method: request.method,
                path: request.pathAndQuery, headers: request.headers))
    }
}

/// Looks at a connection's first bytes, then serves HTTP, terminates TLS, or sends everything back.
///
/// It stays in the pipeline and passes bytes on once it has decided: taking handlers out would lose read events.
///
/// It closes as web servers do, in two steps: what the client sends meanwhile is still taken. A kernel whose program is
/// gone would answer that with a reset, and who hears of that first would be a matter of luck.
final class ServerConnectionHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// A client that says nothing for so long gets a line, as from a server that speaks first.
    static let patience = TimeAmount.seconds(1)
    static let greeting = "egress-lab\n"
    /// How long a connection that is over is kept for a client that does not close its own end (nginx:
    /// `lingering_timeout`).
    static let lingering = TimeAmount.seconds(5)
    /// What the app `banner` says at once, as SMTP servers do (RFC 5321, 3.1).
    static let banner = "220 ready\r\n"

    /// Ports on which the client always speaks first: a line of ours would break an answer to a slow one.
    private static let clientFirstPorts: Set<UInt16> = [80, 443, 8080, 8443, 15443]

    private enum State {
        case inspecting
        case echoing
        case passing
        /// Nothing more is sent, and nothing of what comes is looked at.
        case closing
    }

    private let makeConnection: (any Channel) -> ServerConnection?
    private let isInsideTLS: Bool
    private var connection: ServerConnection?
    private var state = State.inspecting
    private var gathered = ByteBuffer()
    private var hello = ClientHelloParser()
    private var http = HTTPInspector()
    private var hasBegun = false
    private var greeting: Scheduled<Void>?
    private var end: Scheduled<Void>?
    private var sawEOF = false

    /// The handler that accepts: `makeConnection` is called once, when the channel is active.
    init(_ makeConnection: @escaping (any Channel) -> ServerConnection?) {
        self.makeConnection = makeConnection
        isInsideTLS = false
    }

    /// The handler that reads what came out of TLS.
    init(inside connection: ServerConnection) {
        makeConnection = { _ in connection }
        self.connection = connection
        isInsideTLS = true
    }

    func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { begin(context) }
    }

    func channelActive(context: ChannelHandlerContext) {
        begin(context)
        context.fireChannelActive()
    }

    private func begin(_ context: ChannelHandlerContext) {
        guard !hasBegun else { return }
        hasBegun = true
        if connection == nil {
            connection = makeConnection(context.channel)
            connection?.tell(.accepted)
        }
        guard let connection else { return leave(context) }
        if connection.port.kind == .tcp, connection.port.app(nil) == .banner {
            return send(ByteBuffer(string: Self.banner), context)
        }
        guard !isInsideTLS, connection.port.kind == nil || connection.port.kind == .tcp,
            !Self.clientFirstPorts.contains(connection.tuple.destination.port)
        else { return }
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        greeting = context.eventLoop.scheduleTask(in: Self.patience) {
            let (handler, context) = bound.value
            guard handler.state == .inspecting, handler.gathered.readableBytes == 0 else { return }
            handler.send(ByteBuffer(string: Self.greeting), context)
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard let connection else { return }
        switch state {
        case .passing: context.fireChannelRead(data)
        case .closing: break
        case .echoing: send(unwrapInboundIn(data), context)
        case .inspecting:
            greeting?.cancel()
            let bytes = unwrapInboundIn(data)
            gathered.writeImmutableBuffer(bytes)
            inspect(bytes, connection, context)
        }
    }

    private func inspect(_ bytes: ByteBuffer, _ connection: ServerConnection, _ context: ChannelHandlerContext) {
        let kind = connection.port.kind
        if !isInsideTLS, kind == .tcp { return echo(connection, context) }
        if !isInsideTLS, kind != .http {
            switch hello.feed(bytes.readableBytesView) {
            case .needsMore: return
            case .hello(let hello): return terminate(hello, connection, context)
            case .notTLS, .tooLarge: break
            }
        }
        switch http.feed(bytes.readableBytesView) {
        case .needsMore: return
        case .http(let version):
            let isRefused = !isInsideTLS && (kind == .https || kind == .tls)
            let versions = connection.port.httpVersions
            if version == "h2c" {
                if isRefused || !versions.contains("2") { return leave(context) }
                serveHTTP2(connection, context)
            } else if !isInsideTLS, !versions.contains("1.1") {
                // As servers that know HTTP/2 alone: what is no preface is an error of the protocol.
                connection.tell(.data)
                leave(context)
            } else {
                serveHTTP(connection, isRefused: isRefused, context)
            }
        case .notHTTP:
            switch kind {
            case .http: serveHTTP(connection, isRefused: false, context)
            case .https where !isInsideTLS, .tls where !isInsideTLS: leave(context)
            default: echo(connection, context)
            }
        }
    }

    private func echo(_ connection: ServerConnection, _ context: ChannelHandlerContext) {
        state = .echoing
        connection.tell(.data)
        send(take(), context)
    }

    private func terminate(
        _ hello: ClientHelloParser.Hello, _ connection: ServerConnection, _ context: ChannelHandlerContext
    ) {
        connection.serverName = hello.serverName
        connection.tell(.clientHello)
        do {
            let name = connection.port.certificateName(hello.serverName)
            let tls = NIOSSLServerHandler(
                context: try connection.authority.serverContext(
                    for: name, protocols: connection.port.httpVersions.map { $0 == "2" ? "h2" : "http/1.1" }))
            try context.pipeline.syncOperations.addHandlers(
                [tls, ServerConnectionHandler(inside: connection)], position: .after(self))
            pass(context)
        } catch {
            leave(context)
        }
    }

    private func serveHTTP(_ connection: ServerConnection, isRefused: Bool, _ context: ChannelHandlerContext) {
        do {
            let operations = context.pipeline.syncOperations
            let decoder = ByteToMessageHandler(HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes))
            try operations.addHandlers(
                [
                    HTTPResponseEncoder(), decoder, HTTPServerPipelineHandler(),
                    MalformedRequestHandler(connection), HTTPServerProtocolErrorHandler(),
                    WebAppHandler(connection, isTLS: isInsideTLS, isRefused: isRefused),
                ], position: .after(self))
            pass(context)
        } catch {
            leave(context)
        }
    }

    private func serveHTTP2(_ connection: ServerConnection, _ context: ChannelHandlerContext) {
        let isTLS = isInsideTLS
        let bound = NIOLoopBound(connection, eventLoop: context.eventLoop)
        let handler = NIOHTTP2Handler(mode: .server, eventLoop: context.eventLoop) { stream in
            stream.eventLoop.makeCompletedFuture {
                try stream.pipeline.syncOperations.addHandlers([
                    HTTP2FramePayloadToHTTP1ServerCodec(),
                    WebAppHandler(bound.value, isTLS: isTLS, isRefused: false),
                ])
            }
        }
        do {
            try context.pipeline.syncOperations.addHandlers(
                [handler, ServerErrorHandler()], position: .after(self))
            pass(context)
        } catch {
            leave(context)
        }
    }

    private func pass(_ context: ChannelHandlerContext) {
        state = .passing
        context.fireChannelRead(wrapInboundOut(take()))
        context.fireChannelReadComplete()
    }

    private func take() -> ByteBuffer {
        defer { gathered = ByteBuffer() }
        return gathered
    }

    private func send(_ bytes: ByteBuffer, _ context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .inputClosed? = event as? ChannelEvent {
            sawEOF = true
            if state == .closing { return context.close(promise: nil) }
            if state != .passing {
                close(.all, afterWritesOf: context)
            }
        }
        context.fireUserInboundEventTriggered(event)
    }

    /// The handlers behind this one are done.
    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard mode == .all, !isInsideTLS, !sawEOF, state != .closing, context.channel.isActive else {
            return context.close(mode: mode, promise: promise)
        }
        leave(context)
        // For them it is closed now.
        promise?.succeed()
    }

    /// Says that nothing more comes, and waits until the client says so, too.
    private func leave(_ context: ChannelHandlerContext) {
        guard !isInsideTLS, !sawEOF, state != .closing, context.channel.isActive else {
            return context.close(promise: nil)
        }
        state = .closing
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        end = context.eventLoop.scheduleTask(in: Self.lingering) { bound.value.close(promise: nil) }
        close(.output, afterWritesOf: context)
    }

    /// Closing at once would drop what is still to be sent.
    private func close(_ mode: CloseMode, afterWritesOf context: ChannelHandlerContext) {
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        context.writeAndFlush(wrapOutboundOut(ByteBuffer())).whenComplete { _ in
            bound.value.close(mode: mode, promise: nil)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        greeting?.cancel()
        end?.cancel()
        if !isInsideTLS { connection?.tell(.closed) }
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

/// Ends an HTTP/2 connection that can't go on, or whose client has finished sending.
private final class ServerErrorHandler: ChannelInboundHandler {
    typealias InboundIn = HTTP2Frame

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if error is NIOHTTP2Errors.StreamError { return }
        context.close(promise: nil)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .inputClosed? = event as? ChannelEvent { context.close(promise: nil) }
    }
}

/// Tells that bytes came where no request could be read from them: they are answered with 400, and had arrived.
private final class MalformedRequestHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart

    private let connection: ServerConnection

    init(_ connection: ServerConnection) { self.connection = connection }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if error is HTTPParserError { connection.tell(.data) }
        context.fireErrorCaught(error)
    }
}
