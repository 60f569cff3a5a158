import NIOCore
import NetworkAddresses
import ProxyModel

/// The downstream end of every connection: peeks, decides, connects and then relays. Confined to the worker's loop.
///
/// For an HTTP chain it puts the HTTP handlers behind itself, replays what it peeked and leaves the pipeline.
final class ConnectionHandler: ChannelDuplexHandler, RemovableChannelHandler, DownstreamPeer, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum State {
        case inspecting(ConnectionInspector)
        /// Waits for the handshake of a TLS chain whose filter is HTTP.
        case securing
        case tcp(TCPProxyFilter)
        case http
        case ended
    }

    /// How many bytes are taken from a client before its upstream connection exists.
    private static let peekLimit = 65_536

    private let worker: ProxyWorker
    private let capturing: String
    private let end = RelayEnd(holding: ConnectionHandler.peekLimit)
    private var state = State.ended
    private var context: ChannelHandlerContext?
    private var connection: DownstreamConnection?
    private var timer: Scheduled<Void>?
    /// Of a TCP chain; kept until the record is written.
    private var filter: TCPProxyFilter?
    /// Of a connection that no filter got.
    private var record: AccessLogRecord?

    init(worker: ProxyWorker, capturing: String) {
        self.worker = worker
        self.capturing = capturing
    }

    // MARK: Inbound

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        end.added(to: context)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        end.removed()
    }

    func channelActive(context: ChannelHandlerContext) {
        guard let snapshot = worker.snapshot, let capturing = snapshot.listeners.named(capturing),
            let local = context.localAddress?.endpoint, let remote = context.remoteAddress?.endpoint
        else {
            context.close(promise: nil)
            return
        }
        var isAdmitted = true
        let redirected = Sockets.withDescriptor(of: context.channel) { descriptor in
            isAdmitted = worker.admits(descriptor)
            return isAdmitted ? Sockets.originalDestination(of: descriptor, family: local.address.family) : nil
        }
        guard isAdmitted else {
            refuse(context, capturing)
            return
        }
        let destination = redirected.map { IPEndpoint($0.address.unmapped, $0.port) } ?? local
        let connection = worker.register(from: remote, originalDestination: destination)
        self.connection = connection
        connection.peer = self
        let listener = snapshot.listeners.listener(for: destination, capturedBy: capturing)
        connection.listener = listener
        worker.countConnection(of: listener.name) { listener.statisticsPrefix }
        guard let inspector = ConnectionInspector(listener.listenerFilters) else {
            decide(ConnectionInspector.Findings())
            return
        }
        state = .inspecting(inspector)
        if listener.listenerFiltersTimeoutMs > 0 {
            timer = worker.loop.scheduleTask(in: .milliseconds(Int64(listener.listenerFiltersTimeoutMs))) {
                guard case .inspecting(let inspector) = self.state else { return }
                self.decide(inspector.findingsSoFar)
            }
        }
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        switch state {
        case .inspecting(var inspector):
            let findings = inspector.feed(bytes.readableBytesView)
            state = .inspecting(inspector)
            end.hold(bytes)
            if let findings {
                decide(findings)
            } else if inspector.isHelloTooLarge {
                worker.statistics.counter("tls_inspector.client_hello_too_large").add()
                close()
            }
        case .tcp: end.receive(bytes)
        case .http: context.fireChannelRead(data)
        case .securing, .ended: break
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        switch state {
        case .tcp: end.receiveComplete()
        case .http: context.fireChannelReadComplete()
        default: break
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .inputClosed? = event as? ChannelEvent { inputEnded() }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        if case .http = state {
            context.fireChannelInactive()
            return
        }
        end.close()
        finish()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if case .http = state {
            context.fireErrorCaught(error)
            return
        }
        end.noteReset()
        context.close(promise: nil)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        end.writabilityChanged()
        context.fireChannelWritabilityChanged()
    }

    // MARK: Outbound

    func read(context: ChannelHandlerContext) {
        if case .tcp = state { end.read(context) } else { context.read() }
    }

    /// The process has no room for another client: a reset tells it at once, and the next may find room.
    private func refuse(_ context: ChannelHandlerContext, _ listener: Listener) {
        worker.statistics.counter(listener.statisticsPrefix + "downstream_global_cx_overflow").add()
        Sockets.resetOnClose(context.channel)
        context.close(promise: nil)
    }

    // MARK: Decisions

    private func decide(_ findings: ConnectionInspector.Findings) {
        timer?.cancel()
        guard let connection, let listener = currentListener(of: connection) else { return }
        connection.listener = listener
        connection.serverName = findings.serverName
        let traits = ConnectionTraits(
            destination: connection.destination, source: connection.source, serverName: findings.serverName,
            transportProtocol: findings.transportProtocol, applicationProtocols: findings.applicationProtocols)
        connection.chain = listener.filterChain(for: traits)
        guard let chain = connection.chain else {
            worker.statistics.counter(listener.statisticsPrefix + "no_filter_chain_match").add()
            var record = connection.makeRecord(
                .tcp, streamID: worker.nextStreamID(), startTime: connection.startTime)
            record.responseFlags = ["NR"]
            record.responseCodeDetails = "filter_chain_not_found"
            self.record = record
            close()
            return
        }
        if let model = chain.transportSocket {
            secure(chain, model, connection)
            return
        }
        switch chain.filter {
        case .tcpProxy(let proxy): startTCP(proxy, connection)
        case .httpConnectionManager(let manager): startHTTP(manager, connection)
        }
    }

    // MARK: TLS

    /// Puts TLS before this handler, which then sees plain bytes.
    ///
    /// As in Envoy a TCP chain connects at once, beside the handshake; an HTTP chain can't begin before it.
    private func secure(_ chain: FilterChain, _ model: DownstreamTLSContext, _ connection: DownstreamConnection) {
        guard let context, let listener = connection.listener else { return }
        let counters = ListenerTLSCounters(statistics: worker.statistics, prefix: listener.statisticsPrefix)
        state = .securing
        guard let socket = worker.transportSockets.server(model) else {
            counters.secretMissing()
            handshakeFailed(TLSHandshakeFailure.missingSecret)
            return
        }
        do {
            connection.tls = try DownstreamTransport.install(socket, of: chain, in: context, before: self) { result in
                counters.ended(result)
                switch result {
                case .success: self.handshakeDone()
                case .failure(let error): self.handshakeFailed(error)
                }
            }
        } catch {
            context.close(promise: nil)
            return
        }
        if case .tcpProxy(let proxy) = chain.filter { startTCP(proxy, connection) }
        let ciphertext = end.takeHeld()
        guard ciphertext.readableBytes > 0 else { return }
        context.pipeline.fireChannelRead(ciphertext)
        context.pipeline.fireChannelReadComplete()
    }

    private func handshakeDone() {
        guard case .securing = state, let connection,
            case .httpConnectionManager(let manager)? = connection.chain?.filter
        else { return }
        startHTTP(manager, connection)
    }

    /// A TCP chain logs the connection, an HTTP chain has no request to log: then only the lab learns of it.
    private func handshakeFailed(_ error: any Error) {
        // An end of our own, as when the upstream can't be reached, ends the handshake, too.
        switch state {
        case .ended: return
        case .tcp(let filter): filter.handshakeFailed()
        case .inspecting, .securing, .http: report(error)
        }
        close()
    }

    private func report(_ error: any Error) {
        guard let connection else { return }
        var record = connection.makeRecord(.tcp, streamID: worker.nextStreamID(), startTime: connection.startTime)
        record.downstreamTransportFailureReason = (error as? TLSHandshakeFailure)?.reason
        record.endedInHandshake = true
        record.durationMs = connection.startedAt.millisecondsAgo
        worker.write(record, of: connection, isLogged: false)
    }

    /// The listeners may have changed while the inspectors waited for bytes.
    private func currentListener(of connection: DownstreamConnection) -> Listener? {
        guard let table = worker.snapshot?.listeners, let capturing = table.named(capturing) else {
            return connection.listener
        }
        return table.listener(for: connection.destination, capturedBy: capturing)
    }

    // MARK: Filters

    private func startTCP(_ proxy: TCPProxy, _ connection: DownstreamConnection) {
        let filter = TCPProxyFilter(proxy, connection: connection, worker: worker, downstream: end) { [weak self] in
            self?.close()
        }
        state = .tcp(filter)
        self.filter = filter
        filter.start()
    }

    private func startHTTP(_ manager: HTTPConnectionManager, _ connection: DownstreamConnection) {
        guard let context else { return }
        state = .http
        do {
            try HTTPConnectionHandler.install(
                in: context.channel, manager: manager, connection: connection, worker: worker)
        } catch {
            context.close(promise: nil)
            return
        }
        if end.heldBytes > 0 {
            context.fireChannelRead(wrapInboundOut(end.takeHeld()))
            context.fireChannelReadComplete()
        }
        // Without this handler the HTTP handlers' reads reach the channel with one step less.
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }

    // MARK: End

    private func inputEnded() {
        end.endInput()
        switch state {
        case .inspecting:
            if let prefix = connection?.listener?.statisticsPrefix {
                worker.statistics.counter(prefix + "downstream_listener_filter_remote_close").add()
            }
            close()
        case .tcp(let filter): filter.inputEnded()
        case .securing, .http, .ended: break
        }
    }

    func shutDown() { context?.close(promise: nil) }
    func startDraining() {}

    private func close() {
        state = .ended
        guard let context else { return }
        // Envoy's inspectors only look at what then lies unread in its socket, and the kernel answers that by a reset.
        if end.heldBytes > 0 { Sockets.resetOnClose(context.channel) }
        context.close(promise: nil)
    }

    private func finish() {
        state = .ended
        guard let connection else { return }
        self.connection = nil
        filter?.closed()
        filter = nil
        if var record {
            record.durationMs = connection.startedAt.millisecondsAgo
            worker.write(record, of: connection)
        }
        worker.unregister(connection)
    }
}
