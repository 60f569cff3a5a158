import NIOCore
import NIOHTTP2
import NetworkAddresses
import ProxyModel

/// An HTTP/2 connection to a host, which the streams of many requests share. Confined to the worker's loop.
final class HTTP2UpstreamConnection: ChannelInboundHandler, @unchecked Sendable {
    typealias InboundIn = HTTP2Frame

    private enum State {
        case connecting
        case open(NIOHTTP2Handler.StreamMultiplexer)
        case closed
    }

    /// nil without TLS.
    let transport: UpstreamTransport?
    private(set) var local: IPEndpoint?
    private weak var host: UpstreamHost?
    private let cluster: ClusterRuntime
    private let count: UpstreamConnectionCount
    private var state = State.connecting
    private var channel: (any Channel)?
    private var waiting: [(UpstreamReset?) -> Void] = []
    /// Streams that are under way or about to begin.
    private var active = 0
    /// What the cluster and the peer's settings allow at a time.
    private var maxStreams: Int
    /// How many it may still begin.
    private var remainingStreams: Int
    private var isDraining = false
    private var life: UpstreamConnectionLife?
    /// Why requests on it end when it does.
    private(set) var termination = UpstreamReset.connectionTermination

    init(cluster: ClusterRuntime, host: UpstreamHost, transport: UpstreamTransport?) {
        self.cluster = cluster
        self.host = host
        self.transport = transport
        count = UpstreamConnectionCount(cluster.counters, host: host)
        maxStreams = cluster.model.maxConcurrentStreams ?? .max
        remainingStreams = cluster.model.maxRequestsPerConnection ?? .max
    }

    // MARK: Life

    func connect(_ worker: ProxyWorker, _ host: UpstreamHost) {
        let dialled = worker.dialer.dial(
            host.endpoint, from: cluster.sourceAddress(for: host.endpoint.address.family),
            timeoutMs: cluster.model.connectTimeoutMs, allowsHalfClosure: false, transport: transport
        ) { [self] in try install(in: $0) }
        local = dialled.local
        channel = dialled.channel
        count.begin()
        let isImmediate = NIOLoopBoundBox(true, eventLoop: worker.loop)
        dialled.connected.whenComplete { result in
            switch result {
            case .success(let channel):
                self.local = UpstreamDialer.localEndpoint(channel)
                self.opened(channel)
            case .failure(let error):
                self.failed(ConnectFailure(error, immediate: isImmediate.value))
            }
        }
        isImmediate.value = false
    }

    private func install(in channel: any Channel) throws {
        let handler = NIOHTTP2Handler(
            mode: .client, eventLoop: channel.eventLoop, connectionConfiguration: HTTP2Limits.connection,
            streamConfiguration: HTTP2Limits.stream
        ) { pushed in
            // Pushes are switched off.
            pushed.close()
        }
        try channel.pipeline.syncOperations.addHandlers([handler, self])
    }

    private func opened(_ channel: any Channel) {
        guard case .connecting = state else { return }
        guard let handler = try? channel.pipeline.syncOperations.handler(type: NIOHTTP2Handler.self),
            let multiplexer = try? handler.syncMultiplexer(), channel.isActive
        else {
            end(.connectionTermination)
            channel.close(promise: nil)
            return
        }
        state = .open(multiplexer)
        life = UpstreamConnectionLife(
            cluster, loop: channel.eventLoop, close: { [weak self] in self?.channel?.close(promise: nil) },
            drain: { [weak self] in self?.drain() })
        tell(nil)
        closeIfUnused()
    }

    private func failed(_ failure: ConnectFailure) {
        count.fail(failure)
        end(failure.isTimeout ? .connectTimeout : .connectFailure(reason: failure.reason))
    }

    private func end(_ reset: UpstreamReset) {
        if case .closed = state { return }
        state = .closed
        life?.end()
        host?.forget(self)
        count.end()
        tell(reset)
    }

    private func tell(_ reset: UpstreamReset?) {
        let waiters = waiting
        waiting = []
        for waiter in waiters { waiter(reset) }
    }

    /// Takes no new streams, and closes once the present ones have ended.
    func drain() {
        isDraining = true
        closeIfUnused()
    }

    private func closeIfUnused() {
        guard isDraining, active == 0, waiting.isEmpty else { return }
        channel?.close(promise: nil)
    }

    // MARK: For streams

    /// Whether another request may be sent on it.
    var takesStreams: Bool {
        if isDraining { return false }
        if case .closed = state { return false }
        return active + waiting.count < maxStreams && waiting.count < remainingStreams
    }

    var isOpen: Bool { if case .open = state { true } else { false } }

    /// Calls `body` when the connection is made, or with the reason why it can't be.
    func whenConnected(_ body: @escaping (UpstreamReset?) -> Void) {
        switch state {
        case .connecting: waiting.append(body)
        case .open: body(nil)
        case .closed: body(.connectionTermination)
        }
    }

    func makeStream() -> HTTP2UpstreamStream {
        HTTP2UpstreamStream(connection: self, counters: cluster.counters)
    }

    /// Gives `stream` a channel; false when the connection is gone.
    func open(_ stream: HTTP2UpstreamStream) -> Bool {
        guard case .open(let multiplexer) = state, let channel, channel.isActive else { return false }
        active += 1
        life?.isBusy = true
        remainingStreams -= 1
        if remainingStreams == 0 {
            cluster.counters.exhausted.add()
            isDraining = true
        }
        let promise = channel.eventLoop.makePromise(of: (any Channel).self)
        promise.futureResult.whenFailure { _ in stream.closed(nil) }
        multiplexer.createStreamChannel(promise: promise) { made in
            made.eventLoop.makeCompletedFuture { try made.pipeline.syncOperations.addHandler(stream) }
        }
        return true
    }

    var isActive: Bool { channel?.isActive ?? false }

    func streamEnded() {
        active -= 1
        life?.isBusy = active > 0
        closeIfUnused()
        if takesStreams { host?.wakeWaiting() }
    }

    // MARK: Channel

    /// Frames of the connection as a whole.
    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data).payload {
        case .settings(.settings(let settings)):
            for setting in settings where setting.parameter == .maxConcurrentStreams {
                maxStreams = min(setting.value, cluster.model.maxConcurrentStreams ?? .max)
            }
        case .goAway: drain()
        default: break
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // Errors of single streams reach their own channels, too.
        if error is NIOHTTP2Errors.StreamError { return }
        if error is any NIOHTTP2Error { termination = .protocolError }
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        // Before it is connected its future tells why.
        if case .open = state { end(termination) }
        context.fireChannelInactive()
    }
}
