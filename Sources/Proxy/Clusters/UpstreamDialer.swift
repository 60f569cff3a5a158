import NIOCore
import NIOPosix
import NetworkAddresses

/// An upstream connection on its way.
struct UpstreamAttempt {
    /// nil when not even the socket could be made.
    let channel: (any Channel)?
    /// What the kernel bound the socket to; known as soon as the SYN is sent.
    let local: IPEndpoint?
    let connected: EventLoopFuture<any Channel>
}

/// Opens upstream connections in the proxy's namespace, as its owner.
struct UpstreamDialer: Sendable {
    let context: any NetworkContext
    let loop: any EventLoop

    /// Starts to connect. `prepare` puts handlers into the new channel's pipeline, synchronously. With a `transport`
    /// the connection is made when its handshake is done, within the same time.
    ///
    /// Must be called on the loop: then NIO makes the socket, binds it and calls `connect` before this returns, so
    /// namespace and owner are right and the local address is known without waiting for the peer.
    func dial(
        _ endpoint: IPEndpoint, from source: IPAddress?, timeoutMs: Int, allowsHalfClosure: Bool,
        transport: UpstreamTransport? = nil, prepare: @escaping @Sendable (any Channel) throws -> Void
    ) -> UpstreamAttempt {
        let timeLimit = TimeAmount.milliseconds(Int64(timeoutMs))
        let secured = transport.map { _ in loop.makePromise(of: Void.self) }
        let made = NIOLoopBoundBox<(any Channel)?>(nil, eventLoop: loop)
        let future: EventLoopFuture<any Channel>
        do {
            let target = try SocketAddress(endpoint)
            var bootstrap = ClientBootstrap(group: loop)
                .connectTimeout(timeLimit)
                .channelInitializer { channel in
                    made.value = channel
                    return channel.eventLoop.makeCompletedFuture {
                        try ReceiveBuffers.limit(channel)
                        // Here, as the bootstrap's own options take a future each.
                        if allowsHalfClosure {
                            try channel.syncOptions?.setOption(.allowRemoteHalfClosure, value: true)
                        }
                        if let transport, let secured {
                            try transport.install(in: channel, timeLimit: timeLimit, promise: secured)
                        }
                        try prepare(channel)
                    }
                }
            if let source { bootstrap = bootstrap.bind(to: try SocketAddress(IPEndpoint(source, 0))) }
            future = try context.enter { bootstrap.connect(to: target) }
        } catch {
            future = loop.makeFailedFuture(error)
        }
        let local = made.value.flatMap(Self.localEndpoint)
        guard let secured else { return UpstreamAttempt(channel: made.value, local: local, connected: future) }
        // The handshake's promise hears of a connect that failed, too; a second end changes nothing.
        future.whenFailure { secured.fail($0) }
        let connected = secured.futureResult.flatMap { future }
        return UpstreamAttempt(channel: made.value, local: local, connected: connected)
    }

    /// The bound address; nil while it is a wildcard.
    static func localEndpoint(_ channel: any Channel) -> IPEndpoint? {
        channel.localAddress?.endpoint.flatMap { $0.address.isUnspecified ? nil : $0 }
    }
}

/// Why a connection could not be made, in Envoy's words.
struct ConnectFailure {
    let isTimeout: Bool
    /// The proxy itself gave up, because nobody waits for the connection any more.
    let isCancelled: Bool
    /// `delayed_connect_error:_Connection_refused`; nil for a timeout.
    let reason: String?

    /// `immediate`: the kernel refused to send anything, as without a route.
    init(_ error: any Error, immediate: Bool = false) {
        if let failure = error as? TLSHandshakeFailure {
            (isTimeout, isCancelled, reason) = (failure.isTimeout, false, failure.reason)
            return
        }
        switch error as? ChannelError {
        case .connectTimeout?:
            (isTimeout, isCancelled) = (true, false)
            reason = nil
        case .ioOnClosedChannel?, .alreadyClosed?:
            (isTimeout, isCancelled) = (false, true)
            reason = nil
        default:
            (isTimeout, isCancelled) = (false, false)
            reason = "\(immediate ? "immediate" : "delayed")_connect_error:_\(Sockets.reason(error))"
        }
    }
}
