import NIOCore
import NIOHTTP1
import ProxyModel

/// The counters under `http.PREFIX.`.
final class HTTPCounters {
    let connections: Counter
    let requests: Counter
    let noRoute: Counter
    let responses: ResponseCounters

    init(_ statistics: ProxyStatistics, prefix: String) {
        connections = statistics.counter("http.\(prefix).downstream_cx_total")
        requests = statistics.counter("http.\(prefix).downstream_rq_total")
        noRoute = statistics.counter("http.\(prefix).no_route")
        responses = ResponseCounters(statistics, prefix: "http.\(prefix).downstream_rq_", countsCodes: false)
    }
}

/// The downstream end of an HTTP/1.1 connection: one stream at a time, in order. Confined to the worker's loop.
///
/// Pipelined requests wait: what follows a complete request is held back until that request is answered.
final class HTTPConnectionHandler: ChannelDuplexHandler, DownstreamPeer, @unchecked Sendable {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private enum Waiting {
        case part(HTTPServerRequestPart)
        case error(any Error)
    }

    /// Envoy's default for all headers of a request.
    private static let headerLimit = 60 * 1024
    /// How long a client may take to notice that its connection ends before the rest of its request is refused.
    private static let lingerTime = TimeAmount.seconds(1)

    let downstream: DownstreamConnection
    let counters: HTTPCounters
    private let worker: ProxyWorker
    private var manager: HTTPConnectionManager
    private var context: ChannelHandlerContext?
    private var stream: HTTPStream?
    private var requestEnded = true
    /// A head whose request has no body: it starts when its end arrives, in the same read.
    private var heldHead: HTTPRequestHead?
    private var waiting: [Waiting] = []
    private var isWorking = false
    private var isClosing = false
    private var hasHeldRead = false
    private var isReading = false
    private(set) var isDraining = false

    private init(_ manager: HTTPConnectionManager, _ downstream: DownstreamConnection, _ worker: ProxyWorker) {
        self.manager = manager
        self.downstream = downstream
        self.worker = worker
        counters = worker.httpCounters(manager.statPrefix)
        counters.connections.add()
    }

    /// Puts codec and handler behind the handlers that `channel` has.
    static func install(
        in channel: any Channel, manager: HTTPConnectionManager, connection: DownstreamConnection, worker: ProxyWorker
    ) throws {
        var framing = HTTPResponseEncoder.Configuration()
        framing.automaticallySetFramingHeaders = false
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderFieldSize = headerLimit
        limits.maxHeaderListSize = headerLimit
        let handler = HTTPConnectionHandler(manager, connection, worker)
        connection.peer = handler
        try channel.pipeline.syncOperations.addHandlers([
            HTTPResponseEncoder(configuration: framing),
            ByteToMessageHandler(HTTPRequestDecoder(limitConfiguration: limits)), handler,
        ])
    }

    // MARK: Inbound

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        isReading = true
        accept(.part(unwrapInboundIn(data)))
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        isReading = false
        stream?.flushUpstream()
        context.flush()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let error = error as? HTTPParserError {
            // Input that ended inside a request is a client that left, not a wrong request.
            if error == .invalidEOFState { return }
            accept(.error(error))
        } else {
            context.close(promise: nil)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // As in Envoy, a client of HTTP/1.1 that finishes sending has left. A response in progress is cut.
        if case .inputClosed? = event as? ChannelEvent {
            isClosing = true
            stream?.abort()
            drainThenClose(.all)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        isClosing = true
        waiting = []
        stream?.abort()
        worker.unregister(downstream)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { stream?.resumeUpstream() }
    }

    // MARK: Requests

    private func accept(_ item: Waiting) {
        if isClosing { return }
        if isWorking || (stream != nil && requestEnded) || !waiting.isEmpty {
            waiting.append(item)
        } else {
            handle(item)
        }
    }

    private func handle(_ item: Waiting) {
        isWorking = true
        defer { isWorking = false }
        switch item {
        case .error(let error):
            let stream = stream ?? makeStream()
            self.stream = stream
            stream.fail(.protocolError(error))
        case .part(.head(let head)):
            requestEnded = false
            if IncomingRequest.announcesBody(head) {
                begin(head, endOfRequest: false)
            } else {
                heldHead = head
            }
        case .part(.body(let bytes)): stream?.receiveBody(bytes)
        case .part(.end(let trailers)):
            requestEnded = true
            if let head = heldHead {
                heldHead = nil
                begin(head, endOfRequest: true)
            } else {
                stream?.receiveRequestEnd(trailers)
            }
        }
    }

    private func begin(_ head: HTTPRequestHead, endOfRequest: Bool) {
        followConfiguration()
        let stream = makeStream()
        self.stream = stream
        stream.start(head, endOfRequest: endOfRequest)
    }

    private func makeStream() -> HTTPStream { HTTPStream(connection: self, worker: worker, manager: manager) }

    /// A kept connection's next request follows the newest version of its filter chain.
    private func followConfiguration() {
        guard isDraining, let listener = downstream.listener, let name = downstream.chain?.name,
            let current = worker.snapshot?.listeners.named(listener.name)?.chain(named: name),
            case .httpConnectionManager(let manager) = current.filter
        else { return }
        self.manager = manager
    }

    /// The stream has written its record and the last of its response.
    func streamEnded(keepAlive: Bool, broken: Bool) {
        stream = nil
        if isClosing { return }
        if broken {
            isClosing = true
            drainThenClose(.all)
        } else if !keepAlive {
            isClosing = true
            closeSoftly()
        } else if !waiting.isEmpty {
            // On the next turn: a long chain of direct responses must not nest.
            worker.loop.execute { self.continueWaiting() }
        } else {
            resumeReading()
        }
    }

    private func continueWaiting() {
        while !waiting.isEmpty, !isClosing, stream == nil || !requestEnded {
            handle(waiting.removeFirst())
        }
        stream?.flushUpstream()
        context?.flush()
        resumeReading()
    }

    /// Ends the output and waits for the client to leave: closing at once, with unread bytes, would send a reset that
    /// can overtake the response.
    private func closeSoftly() {
        if requestEnded, waiting.isEmpty {
            drainThenClose(.all)
        } else {
            drainThenClose(.output)
            worker.loop.scheduleTask(in: Self.lingerTime) { self.context?.close(promise: nil) }
        }
        resumeReading()
    }

    private func drainThenClose(_ mode: CloseMode) {
        // The encoder writes an empty part of a body as nothing, also in chunked coding.
        context?.drainThenClose(mode, nothing: wrapOutboundOut(.body(.byteBuffer(ByteBuffer()))))
    }

    // MARK: For the stream

    var isWritable: Bool { context?.channel.isWritable ?? true }

    func write(_ part: HTTPServerResponsePart) { context?.write(wrapOutboundOut(part), promise: nil) }

    func writeContinue() {
        context?.writeAndFlush(
            wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: .continue))), promise: nil)
    }

    func flush() { context?.flush() }

    /// Flushes what was not caused by reading, after which a flush follows anyway.
    func flushIfIdle() { if !isReading { context?.flush() } }

    // MARK: Outbound

    func read(context: ChannelHandlerContext) {
        let mayRead = isClosing || waiting.isEmpty && (requestEnded || (stream?.takesBody ?? true))
        if mayRead { context.read() } else { hasHeldRead = true }
    }

    func resumeReading() {
        guard hasHeldRead, let context else { return }
        hasHeldRead = false
        read(context: context)
    }

    // MARK: End

    func shutDown() {
        isClosing = true
        stream?.shutDown()
        context?.close(promise: nil)
    }

    func startDraining() { isDraining = true }
}
