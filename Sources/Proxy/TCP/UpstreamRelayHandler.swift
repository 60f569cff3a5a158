import NIOCore

/// The upstream end of a relayed connection. Confined to the worker's loop.
final class UpstreamRelayHandler: ChannelDuplexHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var downstream: ConnectionHandler?
    private let cluster: ClusterRuntime
    private let host: UpstreamHost
    private var context: ChannelHandlerContext?
    private var hasHeldRead = false
    private var sawEOF = false
    private var wasReset = false
    private var isCounted = false

    init(downstream: ConnectionHandler, cluster: ClusterRuntime, host: UpstreamHost) {
        self.downstream = downstream
        self.cluster = cluster
        self.host = host
    }

    // MARK: Counting

    func begin() {
        isCounted = true
        host.active += 1
        cluster.counters.connections.add()
        cluster.counters.activeConnections.add()
    }

    func failed(_ error: any Error) {
        let failure = ConnectFailure(error)
        if isCounted, !failure.isCancelled {
            cluster.counters.connectFailures.add()
            if failure.isTimeout { cluster.counters.connectTimeouts.add() }
        }
        end()
    }

    private func end() {
        downstream = nil
        guard isCounted else { return }
        isCounted = false
        host.active -= 1
        cluster.counters.activeConnections.subtract()
    }

    // MARK: Channel

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelActive(context: ChannelHandlerContext) {
        cluster.counters.requests.add()
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        cluster.counters.receivedBytes.add(bytes.readableBytes)
        downstream?.deliver(bytes)
    }

    func channelReadComplete(context: ChannelHandlerContext) { downstream?.flush() }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case .inputClosed? = event as? ChannelEvent else { return }
        sawEOF = true
        downstream?.upstreamEnded()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        wasReset = true
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        let downstream = downstream
        end()
        downstream?.upstreamClosed(byReset: wasReset)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { downstream?.resumeReading() }
    }

    func read(context: ChannelHandlerContext) {
        if downstream?.isWritable ?? true { context.read() } else { hasHeldRead = true }
    }

    // MARK: From downstream

    var isWritable: Bool { context?.channel.isWritable ?? true }

    func write(_ bytes: ByteBuffer) {
        guard let context else { return }
        cluster.counters.sentBytes.add(bytes.readableBytes)
        context.write(wrapOutboundOut(bytes), promise: nil)
    }

    func flush() { context?.flush() }

    func resumeReading() {
        guard hasHeldRead, let context else { return }
        hasHeldRead = false
        read(context: context)
    }

    func downstreamEnded() { context?.drainThenClose(sawEOF ? .all : .output) }

    func downstreamClosed(byReset: Bool) {
        downstream = nil
        guard let context else { return }
        // Nobody takes what the upstream still sends: reading on lets it be dropped and the close be noticed.
        resumeReading()
        if byReset {
            Sockets.resetOnClose(context.channel)
            context.close(promise: nil)
        } else {
            context.drainThenClose(.all)
        }
    }
}
