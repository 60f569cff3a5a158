package import NIOCore
import NIOPosix
package import NetworkAddresses
package import ProxyModel

/// A forward proxy for TLS that goes where the ClientHello's server name says, as nginx does with `ssl_preread on` and
/// `proxy_pass $ssl_preread_server_name:443`.
///
/// It answers nothing itself: it resolves the name, connects, replays what it has read and copies both ways. Unlike
/// nginx it refuses a name that leads back to itself.
package final class SNIProxy: Sendable {
    private let worker: SNIProxyWorker

    /// - Parameters:
    ///   - context: entered for every socket.
    ///   - ownAddresses: the pod's and its loopback's; a name that resolves to one of them is a loop.
    ///   - sink: gets the events, on the proxy's event loop; must return soon.
    package init(
        configuration: SNIProxyConfiguration, context: any NetworkContext, resolver: any HostResolver,
        ownAddresses: [IPAddress], group: any EventLoopGroup, sink: @escaping @Sendable (ProxyEvent) -> Void
    ) {
        worker = SNIProxyWorker(
            configuration: configuration, context: context, resolver: resolver, ownAddresses: Set(ownAddresses),
            loop: group.next(), sink: sink)
    }

    /// Binds the listeners; throws `ProxyStartError` when one can't be bound.
    package func start() async throws { try await worker.start() }

    /// Returns when everything that has reached the proxy up to now has been worked on.
    package func settle() async { try? await worker.loop.submit {}.get() }

    /// Stops accepting and closes all connections; all records are written when it returns.
    package func stop() async { await worker.stop() }

    /// One for each connection, oldest first; the newest 100 000 are kept.
    package func records() -> [AccessLogRecord] { worker.log.records() }

    /// The records as nginx writes them in the documents' `log_format`.
    package func lines() -> [String] { records().map(SNIProxyLog.line) }

    /// The lines after the first `count` that there have ever been, and how many there have been.
    package func lines(after count: Int) -> (lines: [String], count: Int) {
        let (records, total) = worker.log.records(after: count)
        return (records.map(SNIProxyLog.line), total)
    }
}

/// The proxy itself. Its mutable state is confined to `loop`, which is what makes it `Sendable`.
final class SNIProxyWorker: @unchecked Sendable {
    let configuration: SNIProxyConfiguration
    let resolver: any HostResolver
    let ownAddresses: Set<IPAddress>
    let loop: any EventLoop
    let dialer: UpstreamDialer
    let log = RecordLog()
    /// The beginnings of all ClientHellos that are being forwarded. Each holds 32 random bytes: one that comes again is
    /// the proxy's own, come back by whatever way.
    var hellos: Set<[UInt8]> = []
    private let context: any NetworkContext
    private let sink: @Sendable (ProxyEvent) -> Void
    private let descriptors = DescriptorBudget()
    private var bound: [any Channel] = []
    private var connections: [UInt64: SNIConnection] = [:]
    private var lastID: UInt64 = 0
    private var emptied: EventLoopPromise<Void>?

    init(
        configuration: SNIProxyConfiguration, context: any NetworkContext, resolver: any HostResolver,
        ownAddresses: Set<IPAddress>, loop: any EventLoop, sink: @escaping @Sendable (ProxyEvent) -> Void
    ) {
        self.configuration = configuration
        self.context = context
        self.resolver = resolver
        self.ownAddresses = ownAddresses
        self.loop = loop
        self.sink = sink
        dialer = UpstreamDialer(context: context, loop: loop)
    }

    func start() async throws {
        for address in configuration.listen {
            let descriptor = try context.enter { try Sockets.listen(at: address, for: "sni-proxy") }
            let channel = try await ServerBootstrap(group: loop)
                .childChannelOption(.allowRemoteHalfClosure, value: true)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try ReceiveBuffers.limit(channel)
                        try channel.pipeline.syncOperations.addHandler(SNIConnection(worker: self))
                    }
                }
                .withBoundSocket(descriptor).get()
            try await loop.submit { self.bound.append(channel) }.get()
        }
    }

    func stop() async {
        let done = loop.makePromise(of: Void.self)
        loop.execute {
            for channel in self.bound { channel.close(promise: nil) }
            self.bound = []
            self.emptied = done
            for connection in Array(self.connections.values) { connection.shutDown() }
            self.checkEmptied()
        }
        try? await done.futureResult.get()
    }

    /// Whether there is room for the connection that got this descriptor.
    func admits(_ descriptor: CInt) -> Bool { descriptors.admits(descriptor) }

    /// nil when as many are served as may be.
    func register(_ connection: SNIConnection, from source: IPEndpoint, to destination: IPEndpoint) -> UInt64? {
        guard connections.count < configuration.maximumConnections else { return nil }
        lastID += 1
        connections[lastID] = connection
        sink(.accepted(connection: lastID, from: source, originalDestination: destination))
        return lastID
    }

    func reportConnecting(_ number: UInt64, from local: IPEndpoint?, to endpoint: IPEndpoint) {
        sink(
            .connecting(
                connection: number, local: local, to: endpoint, cluster: "", request: nil, isReused: false))
    }

    func end(_ number: UInt64, _ record: AccessLogRecord) {
        guard connections.removeValue(forKey: number) != nil else { return }
        log.append(record, .outbound)
        sink(.record(connection: number, record))
        sink(.closed(connection: number))
        checkEmptied()
    }

    private func checkEmptied() {
        guard connections.isEmpty, let promise = emptied else { return }
        emptied = nil
        promise.succeed(())
    }
}
