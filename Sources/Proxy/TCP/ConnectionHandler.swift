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
        case connecting
        case relaying(UpstreamRelayHandler)
        case http
        case ended
    }

    /// How many bytes are taken from a client before its upstream connection exists.
    private static let peekLimit = 65_536
    /// A FIN does not tell a client that left from one that only finished sending: a connect in progress gets this
    /// long to succeed for the sake of the latter.
    private static let leftGrace = TimeAmount.milliseconds(100)

    private let worker: ProxyWorker
    private let capturing: String
    private var state = State.ended
    private var context: ChannelHandlerContext?
    private var connection: DownstreamConnection?
    private var peeked = ByteBuffer()
    private var timer: Scheduled<Void>?
    private var pendingConnect: (any Channel)?
    private var hasHeldRead = false
    private var sawEOF = false
    private var wasReset = false
    /// The first bytes have been let through.
    private var isAuthorized = false
    /// nil when the connection leaves no record of its own.
    private var record: AccessLogRecord?

    init(worker: ProxyWorker, capturing: String) {
        self.worker = worker
        self.capturing = capturing
    }

    // MARK: Inbound

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

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
        var bytes = unwrapInboundIn(data)
        switch state {
        case .inspecting(var inspector):
            let findings = inspector.feed(bytes.readableBytesView)
            state = .inspecting(inspector)
            peek(&bytes)
            if let findings { decide(findings) }
        case .connecting: peek(&bytes)
        case .relaying(let upstream): forward(bytes, to: upstream)
        case .http: context.fireChannelRead(data)
        case .securing, .ended: break
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        switch state {
        case .relaying(let upstream): upstream.flush()
        case .http: context.fireChannelReadComplete()
        default: break
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .inputClosed? = event as? ChannelEvent { endOfInput(context) }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        if case .http = state {
            context.fireChannelInactive()
            return
        }
        if case .connecting = state { record?.responseFlags = ["DC"] }
        if case .relaying(let upstream) = state { upstream.downstreamClosed(byReset: wasReset) }
        // First, or the cancelled connect would count as a failed one.
        state = .ended
        pendingConnect?.close(promise: nil)
        finish()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if case .http = state {
            context.fireErrorCaught(error)
            return
        }
        wasReset = true
        context.close(promise: nil)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable, case .relaying(let upstream) = state { upstream.resumeReading() }
        context.fireChannelWritabilityChanged()
    }

    // MARK: Outbound

    /// Back-pressure: nothing is read that can't be passed on.
    func read(context: ChannelHandlerContext) {
        let mayRead: Bool =
            switch state {
            case .inspecting: true
            case .connecting: peeked.readableBytes < Self.peekLimit
            case .relaying(let upstream): upstream.isWritable
            case .securing, .http, .ended: true
            }
        if mayRead { context.read() } else { hasHeldRead = true }
    }

    /// The process has no room for another client: a reset tells it at once, and the next may find room.
    private func refuse(_ context: ChannelHandlerContext, _ listener: Listener) {
        worker.statistics.counter(listener.statisticsPrefix + "downstream_global_cx_overflow").add()
        Sockets.resetOnClose(context.channel)
        context.close(promise: nil)
    }

    // MARK: Decisions

    private func peek(_ bytes: inout ByteBuffer) {
        if peeked.readableBytes == 0 { peeked = bytes } else { peeked.writeBuffer(&bytes) }
    }

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
            makeRecord()
            end(flags: ["NR"], details: "filter_chain_not_found")
            return
        }
        if let model = chain.transportSocket {
            secure(chain, model, connection)
            return
        }
        switch chain.filter {
        case .tcpProxy(let proxy): startTCP(proxy)
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
        if case .tcpProxy(let proxy) = chain.filter { startTCP(proxy) }
        let ciphertext = peeked
        peeked = ByteBuffer()
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
        if case .ended = state { return }
        let reason = (error as? TLSHandshakeFailure)?.reason
        if let connection, record == nil {
            var unlogged = connection.makeRecord(
                .tcp, streamID: worker.nextStreamID(), startTime: connection.startTime)
            unlogged.downstreamTransportFailureReason = reason
            unlogged.durationMs = connection.startedAt.millisecondsAgo
            worker.write(unlogged, of: connection, isLogged: false)
        }
        if case .relaying(let upstream) = state { upstream.downstreamClosed(byReset: false) }
        end()
    }

    /// The listeners may have changed while the inspectors waited for bytes.
    private func currentListener(of connection: DownstreamConnection) -> Listener? {
        guard let table = worker.snapshot?.listeners, let capturing = table.named(capturing) else {
            return connection.listener
        }
        return table.listener(for: connection.destination, capturedBy: capturing)
    }

    private func makeRecord() {
        guard let connection else { return }
        record = connection.makeRecord(.tcp, streamID: worker.nextStreamID(), startTime: connection.startTime)
    }

    private func startTCP(_ proxy: TCPProxy) {
        state = .connecting
        makeRecord()
        worker.countConnection(of: "tcp.\(proxy.statPrefix)") { "tcp.\(proxy.statPrefix)." }
        guard let name = proxy.clusters.randomCluster()?.name, let cluster = worker.clusters[name] else {
            end(flags: ["NC"])
            return
        }
        record?.upstreamCluster = name
        if record?.origin == nil { record?.origin = cluster.model.origin }
        cluster.whenReady { [weak self] in self?.connect(to: cluster) }
    }

    private func connect(to cluster: ClusterRuntime) {
        guard case .connecting = state, let connection else { return }
        guard let host = cluster.pick(for: connection.destination) else {
            cluster.counters.noneHealthy.add()
            end(flags: ["UH"])
            return
        }
        if cluster.isFull {
            cluster.counters.connectionOverflow.add()
            end(flags: ["UO"])
            return
        }
        record?.upstreamHost = host.endpoint
        let upstream = UpstreamRelayHandler(downstream: self, cluster: cluster, host: host)
        let transport = worker.transport(of: cluster, to: host)
        let attempt = worker.dialer.dial(
            host.endpoint, from: cluster.sourceAddress(for: host.endpoint.address.family),
            timeoutMs: cluster.model.connectTimeoutMs, allowsHalfClosure: true, transport: transport
        ) { try $0.pipeline.syncOperations.addHandler(upstream) }
        pendingConnect = attempt.channel
        worker.reportConnecting(connection, local: attempt.local, to: host.endpoint, cluster: cluster.model.name)
        upstream.begin()
        let isImmediate = NIOLoopBoundBox(true, eventLoop: worker.loop)
        attempt.connected.whenComplete { result in
            self.pendingConnect = nil
            switch result {
            case .success(let channel):
                if var record = self.record {
                    transport?.session.describeUpstream(&record)
                    self.record = record
                }
                self.connected(upstream, channel)
            case .failure(let error):
                upstream.failed(error)
                self.connectFailed(ConnectFailure(error, immediate: isImmediate.value))
            }
        }
        isImmediate.value = false
    }

    private func connected(_ upstream: UpstreamRelayHandler, _ channel: any Channel) {
        guard case .connecting = state, let context else {
            channel.close(promise: nil)
            return
        }
        timer?.cancel()
        record?.upstreamLocalAddress = UpstreamDialer.localEndpoint(channel)
        state = .relaying(upstream)
        if peeked.readableBytes > 0 {
            forward(peeked, to: upstream)
            guard case .relaying = state else { return }
            upstream.flush()
            peeked = ByteBuffer()
        }
        if sawEOF { upstream.downstreamEnded() }
        resumeReading(context)
    }

    private func connectFailed(_ failure: ConnectFailure) {
        guard case .connecting = state else { return }
        record?.upstreamTransportFailureReason = failure.isTimeout ? "connection_timeout" : failure.reason
        end(flags: ["UF", "URX"])
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
        if peeked.readableBytes > 0 {
            context.fireChannelRead(wrapInboundOut(peeked))
            peeked = ByteBuffer()
            context.fireChannelReadComplete()
        }
        // Without this handler the HTTP handlers' reads reach the channel with one step less.
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }

    // MARK: Authorization

    /// As in Envoy, the first bytes ask whether the connection may be; its upstream stands by then.
    private func authorize(_ upstream: UpstreamRelayHandler) -> Bool {
        isAuthorized = true
        guard let connection, let authorization = connection.currentAuthorization(worker) else { return true }
        let subject = AuthorizationSubject(connection)
        for rbac in authorization.connection {
            guard let denial = rbac.check(subject, worker.rbacCounters("tcp.", rbac.shadowRulesStatPrefix)) else {
                continue
            }
            record?.connectionTerminationDetails = denial.details
            if let origin = denial.origin { record?.origin = origin }
            upstream.downstreamClosed(byReset: false)
            peeked = ByteBuffer()
            end()
            return false
        }
        return true
    }

    // MARK: Relaying

    private func forward(_ bytes: ByteBuffer, to upstream: UpstreamRelayHandler) {
        record?.bytesReceived += UInt64(bytes.readableBytes)
        guard isAuthorized || authorize(upstream) else { return }
        upstream.write(bytes)
    }

    /// Bytes from the upstream.
    func deliver(_ bytes: ByteBuffer) {
        guard let context else { return }
        record?.bytesSent += UInt64(bytes.readableBytes)
        context.write(wrapOutboundOut(bytes), promise: nil)
    }

    func flush() { context?.flush() }

    var isWritable: Bool { context?.channel.isWritable ?? true }

    func resumeReading() { if let context { resumeReading(context) } }

    private func resumeReading(_ context: ChannelHandlerContext) {
        guard hasHeldRead else { return }
        hasHeldRead = false
        read(context: context)
    }

    private func endOfInput(_ context: ChannelHandlerContext) {
        sawEOF = true
        switch state {
        case .inspecting:
            if let prefix = connection?.listener?.statisticsPrefix {
                worker.statistics.counter(prefix + "downstream_listener_filter_remote_close").add()
            }
            end()
        case .connecting:
            timer = worker.loop.scheduleTask(in: Self.leftGrace) { self.end(flags: ["DC"]) }
        case .relaying(let upstream): upstream.downstreamEnded()
        case .securing, .http, .ended: break
        }
    }

    /// The upstream's FIN.
    func upstreamEnded() {
        guard let context else { return }
        context.drainThenClose(sawEOF ? .all : .output)
    }

    /// The upstream's connection is gone.
    func upstreamClosed(byReset: Bool) {
        guard let context else { return }
        if byReset {
            record?.responseFlags = ["UR"]
            Sockets.resetOnClose(context.channel)
            context.close(promise: nil)
        } else {
            context.drainThenClose(.all)
        }
    }

    // MARK: End

    func shutDown() { context?.close(promise: nil) }
    func startDraining() {}

    private func end(flags: [String] = [], details: String? = nil) {
        record?.responseFlags = flags
        record?.responseCodeDetails = details
        state = .ended
        // Envoy's inspectors only look at what then lies unread in its socket, and the kernel answers that by a reset.
        if peeked.readableBytes > 0, let context { Sockets.resetOnClose(context.channel) }
        let pending = pendingConnect
        pendingConnect = nil
        pending?.close(promise: nil)
        context?.close(promise: nil)
    }

    private func finish() {
        state = .ended
        guard let connection else { return }
        self.connection = nil
        if var record {
            record.durationMs = connection.startedAt.millisecondsAgo
            worker.write(record, of: connection)
        }
        worker.unregister(connection)
    }
}

extension ChannelHandlerContext {
    /// Closes when all that was written before is sent.
    ///
    /// NIO drops unsent writes when the output is shut while the input already is. `nothing` is what the next handler
    /// takes for an empty write.
    func drainThenClose(_ mode: CloseMode, nothing: NIOAny = NIOAny(ByteBuffer())) {
        writeAndFlush(nothing).assumeIsolated().whenComplete { _ in self.close(mode: mode, promise: nil) }
    }
}
