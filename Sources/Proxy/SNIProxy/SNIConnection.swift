import NIOCore
import NetworkAddresses
import ProxyModel

/// A client's end of a forwarded connection: reads the ClientHello, has it resolved, connects, then relays. Confined to
/// the worker's loop.
final class SNIConnection: ChannelDuplexHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum State {
        case reading(ClientHelloParser)
        case connecting
        case relaying
        case ended
    }

    /// nginx: `preread_buffer_size`, `preread_timeout` and `proxy_connect_timeout`.
    private static let prereadLimit = 16_384
    private static let prereadTime = TimeAmount.seconds(30)
    private static let connectTimeoutMs = 60_000
    /// How much of a ClientHello tells it from all others: headers, version, and its 32 random bytes.
    private static let helloPrefix = 5 + 4 + 2 + 32

    private let worker: SNIProxyWorker
    private var state = State.reading(ClientHelloParser())
    private var context: ChannelHandlerContext?
    private var number: UInt64?
    private var record = AccessLogRecord(kind: .tcp, streamID: 0, startTime: WallClock.now())
    private let startedAt = NIODeadline.now()
    private let relayEnd = RelayEnd(holding: SNIConnection.prereadLimit)
    private var hello: [UInt8]?
    private var timer: Scheduled<Void>?
    private var pendingConnect: (any Channel)?

    init(worker: SNIProxyWorker) { self.worker = worker }

    // MARK: Channel

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        relayEnd.added(to: context)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        relayEnd.removed()
    }

    func channelActive(context: ChannelHandlerContext) {
        guard Sockets.withDescriptor(of: context.channel, worker.admits) != false,
            let local = context.localAddress?.endpoint, let remote = context.remoteAddress?.endpoint,
            let number = worker.register(self, from: remote, to: local)
        else {
            context.close(promise: nil)
            return
        }
        self.number = number
        record.streamID = number
        record.protocol = "TCP"
        record.downstreamLocalAddress = local
        record.downstreamRemoteAddress = remote
        timer = worker.loop.scheduleTask(in: Self.prereadTime) { self.end(200, "preread_timeout") }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        switch state {
        case .reading(var parser):
            let result = parser.feed(bytes.readableBytesView)
            state = .reading(parser)
            relayEnd.hold(bytes)
            decide(result)
        case .connecting, .relaying:
            record.bytesReceived += UInt64(bytes.readableBytes)
            relayEnd.receive(bytes)
        case .ended: break
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) { relayEnd.receiveComplete() }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case .inputClosed? = event as? ChannelEvent else { return }
        relayEnd.endInput()
        switch state {
        case .reading: end(200, "client_closed")
        case .connecting:
            timer = worker.loop.scheduleTask(in: TCPProxyFilter.leftGrace) {
                self.end(502, "client_closed", ["DC"])
            }
        case .relaying, .ended: break
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        relayEnd.noteReset()
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        switch state {
        case .reading: record.responseCode = 200
        case .connecting:
            record.responseCode = 502
            record.responseFlags = ["DC"]
        case .relaying, .ended: break
        }
        relayEnd.close()
        // First, or the cancelled connect would count as a failed one.
        state = .ended
        pendingConnect?.close(promise: nil)
        finish()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) { relayEnd.writabilityChanged() }

    func read(context: ChannelHandlerContext) {
        // Until the name is known the limit is told, not waited at.
        if case .reading = state { context.read() } else { relayEnd.read(context) }
    }

    // MARK: Decisions

    private func decide(_ result: ClientHelloParser.Result) {
        switch result {
        case .needsMore:
            // What may still become a handshake has a name, an empty one so far.
            record.requestedServerName = ""
            if relayEnd.heldBytes >= Self.prereadLimit { end(400, "preread_buffer_full") }
        case .notTLS, .tooLarge:
            record.requestedServerName = nil
            end(500, "not_tls")
        case .hello(let hello):
            record.requestedServerName = hello.serverName ?? ""
            guard let name = hello.serverName else { return end(500, "no_server_name") }
            let beginning = Array(relayEnd.heldBeginning.prefix(Self.helloPrefix))
            guard worker.hellos.insert(beginning).inserted else { return end(403, "self_loop") }
            self.hello = beginning
            timer?.cancel()
            state = .connecting
            resolve(name)
        }
    }

    private func resolve(_ name: String) {
        if let address = IPAddress(name) { return connect([address]) }
        let families = worker.configuration.families
        worker.resolver.resolve(name, families: families, on: worker.loop).hop(to: worker.loop).whenComplete { result in
            guard case .connecting = self.state else { return }
            switch result {
            case .success(let found) where !found.addresses.isEmpty: self.connect(found.addresses)
            case .success, .failure: self.end(500, "not_resolved", ["UH"])
            }
        }
    }

    private func connect(_ addresses: [IPAddress]) {
        let others = addresses.filter { !$0.isUnspecified && !worker.ownAddresses.contains($0) }
        if others.isEmpty { return end(403, "self_loop") }
        connect(others[...])
    }

    /// One address after the other, as `proxy_next_upstream on`.
    private func connect(_ addresses: ArraySlice<IPAddress>) {
        guard case .connecting = state, let number, let address = addresses.first else { return }
        let endpoint = IPEndpoint(address, worker.configuration.port)
        record.upstreamHost = endpoint
        let upstream = RelayHandler()
        let attempt = worker.dialer.dial(
            endpoint, from: nil, timeoutMs: Self.connectTimeoutMs, allowsHalfClosure: true
        ) { try $0.pipeline.syncOperations.addHandler(upstream) }
        pendingConnect = attempt.channel
        worker.reportConnecting(number, from: attempt.local, to: endpoint)
        attempt.connected.whenComplete { result in
            self.pendingConnect = nil
            switch result {
            case .success(let channel): self.connected(upstream, channel)
            case .failure(let error):
                guard case .connecting = self.state else { return }
                if addresses.count > 1 { return self.connect(addresses.dropFirst()) }
                let failure = ConnectFailure(error)
                self.record.upstreamTransportFailureReason =
                    failure.isTimeout ? "connection_timeout" : failure.reason
                self.end(502, "connect_failed", ["UF"])
            }
        }
    }

    private func connected(_ upstream: RelayHandler, _ channel: any Channel) {
        guard case .connecting = state else {
            channel.close(promise: nil)
            return
        }
        timer?.cancel()
        record.upstreamLocalAddress = UpstreamDialer.localEndpoint(channel)
        state = .relaying
        upstream.end.passed = { self.record.bytesSent += UInt64($0) }
        // Verified with nginx 1.22: what was read to find the name counts as sent by nobody.
        relayEnd.join(upstream.end)
    }

    // MARK: End

    func shutDown() { context?.close(promise: nil) }

    private func end(_ status: Int, _ details: String, _ flags: [String] = []) {
        guard number != nil else { return }
        timer?.cancel()
        record.responseCode = status
        record.responseCodeDetails = details
        record.responseFlags = flags
        state = .ended
        let pending = pendingConnect
        pendingConnect = nil
        pending?.close(promise: nil)
        context?.close(promise: nil)
    }

    private func finish() {
        guard let number else { return }
        self.number = nil
        if let hello { worker.hellos.remove(hello) }
        // Whatever ends a session that had its upstream, nginx calls it a success.
        if record.responseCode == 0 { record.responseCode = 200 }
        record.durationMs = startedAt.millisecondsAgo
        worker.end(number, record)
    }
}
