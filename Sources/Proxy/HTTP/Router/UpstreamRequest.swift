import NIOCore
import NetworkAddresses
import ProxyModel

/// One attempt to have a host answer a request: gets a connection from the host's pool, or waits for one (Envoy:
/// `Router::UpstreamRequest`). Confined to the worker's loop.
final class UpstreamRequest: @unchecked Sendable {
    let host: UpstreamHost
    /// The client's end.
    let connection: any HTTPDownstream
    private let cluster: ClusterRuntime
    private let worker: ProxyWorker
    private let authority: String?
    private var router: Router?
    private(set) var upstream: (any HTTPUpstream)?
    private var pendingConnect: (any Channel)?
    /// What the attempt counts for in its cluster's load.
    private var isPending = false
    private var isRequest = false

    /// - Parameter authority: the Host that goes upstream, which may choose the SNI.
    init(_ router: Router, host: UpstreamHost, authority: String?) {
        self.router = router
        self.host = host
        self.authority = authority
        cluster = router.cluster
        worker = router.stream.worker
        connection = router.stream.connection
    }

    func start() {
        host.active += 1
        acquire(isWoken: false)
    }

    // MARK: Pool

    /// There may be a connection now, or room for one.
    func wake() {
        worker.loop.execute {
            // Whoever has left in between passes the chance on.
            if self.router == nil { self.host.wakeWaiting() } else { self.acquire(isWoken: true) }
        }
    }

    /// Goes on with a connection that is there, else with a new one, else waits for its turn.
    private func acquire(isWoken: Bool) {
        let usesHTTP2 = cluster.usesHTTP2(for: connection.version)
        let transport = worker.transport(
            of: cluster, to: host, authority: authority, version: usesHTTP2 ? .http2 : .http11)
        let shared = usesHTTP2 ? host.multiplexed(serverName: transport?.serverName) : nil
        if let shared, shared.isOpen {
            report(local: shared.local, isReused: true)
            send(on: shared.makeStream())
            if isWoken { host.wakeWaiting() }
            return
        }
        if !usesHTTP2, let kept = host.takeIdle(serverName: transport?.serverName) {
            report(local: kept.local, isReused: true)
            send(on: kept)
            return
        }
        guard queue() else { return }
        if let shared {
            report(local: shared.local, isReused: true)
            wait(for: shared)
        } else if cluster.isFull, host.connections > 0 {
            // A host without any connection gets one, or its requests would wait for nothing.
            if !isWoken { cluster.counters.connectionOverflow.add() }
            host.wait(self)
            return
        } else if usesHTTP2 {
            let made = host.multiplex(for: cluster, transport, worker)
            report(local: made.local, isReused: false)
            wait(for: made)
        } else {
            connect(transport)
            return
        }
        // Others may share what this one waits for.
        if isWoken { host.wakeWaiting() }
    }

    /// Counts the attempt among those that have no connection; false when that are too many.
    private func queue() -> Bool {
        if isPending { return true }
        guard cluster.admitsPending else {
            cluster.counters.pendingOverflow.add()
            router?.stream.record.upstreamHost = nil
            fail(.overflow)
            return false
        }
        isPending = true
        cluster.load.pending += 1
        return true
    }

    private func noLongerPending() {
        if isPending { cluster.load.pending -= 1 }
        isPending = false
    }

    private func connect(_ transport: UpstreamTransport?) {
        let made = HTTPUpstreamConnection(cluster: cluster, host: host, transport: transport)
        let dialled = worker.dialer.dial(
            host.endpoint, from: cluster.sourceAddress(for: host.endpoint.address.family),
            timeoutMs: cluster.model.connectTimeoutMs, allowsHalfClosure: false, transport: transport
        ) { try made.install(in: $0) }
        pendingConnect = dialled.channel
        report(local: dialled.local, isReused: false)
        made.begin()
        let isImmediate = NIOLoopBoundBox(true, eventLoop: worker.loop)
        dialled.connected.whenComplete { result in
            self.pendingConnect = nil
            if let channel = dialled.channel { self.host.ended(channel) }
            switch result {
            case .success(let channel):
                made.connected(channel)
                // As Envoy has it a connection on its way serves others, when nobody waits for it any more.
                if self.router == nil { self.host.keep(made) } else { self.send(on: made) }
            case .failure(let error):
                made.failed(error)
                guard self.router != nil else { return }
                self.cluster.counters.pendingFailures.add()
                let failure = ConnectFailure(error, immediate: isImmediate.value)
                self.fail(failure.isTimeout ? .connectTimeout : .connectFailure(reason: failure.reason))
            }
        }
        isImmediate.value = false
    }

    /// Takes a stream of a connection that many share, once it is made.
    private func wait(for shared: HTTP2UpstreamConnection) {
        shared.whenConnected { [weak self] failure in
            guard let self, self.router != nil else { return }
            if let failure {
                self.cluster.counters.pendingFailures.add()
                self.fail(failure)
            } else {
                self.send(on: shared.makeStream())
            }
        }
    }

    /// As Envoy has it, a copy is no part of its request's way.
    private func report(local: IPEndpoint?, isReused: Bool) {
        guard let stream = router?.stream, !stream.isShadow else { return }
        worker.reportConnecting(
            connection.downstream, local: local, to: host.endpoint, cluster: cluster.model.name,
            request: stream.record.requestID, isReused: isReused)
    }

    private func send(on upstream: any HTTPUpstream) {
        guard let router else { return }
        noLongerPending()
        guard cluster.admitsRequest else {
            cluster.counters.requestOverflow.add()
            // A stream of HTTP/2 that was not attached holds nothing.
            if let connection = upstream as? HTTPUpstreamConnection { host.keep(connection) }
            fail(.overflow)
            return
        }
        guard router.mayUse(upstream), upstream.attach(self) else {
            fail(.connectionTermination)
            return
        }
        self.upstream = upstream
        isRequest = true
        cluster.load.requests += 1
        host.counted.requests += 1
        router.ready(upstream)
    }

    // MARK: From the upstream

    /// `ended`: the response is its head alone.
    func receive(_ head: HTTPResponseHead, ended: Bool) { router?.receive(head, ended: ended) }
    func receive(_ bytes: ByteBuffer) { router?.receive(bytes) }
    func receiveEnd(_ trailers: HTTPFields?) { router?.receiveEnd(trailers) }

    /// The connection ended before its response did.
    func upstreamFailed(_ reset: UpstreamReset) {
        upstream = nil
        fail(reset)
    }

    // MARK: End

    private func fail(_ reset: UpstreamReset) {
        guard let router else { return }
        leave()
        router.attemptFailed(reset)
    }

    /// Counts for nothing any more, and hears nothing.
    private func leave() {
        guard router != nil else { return }
        router = nil
        noLongerPending()
        if isRequest { cluster.load.requests -= 1 }
        host.active -= 1
        host.stopWaiting(self)
        if let pendingConnect { host.adopt(pendingConnect) }
        pendingConnect = nil
    }

    /// The attempt is over; its connection is kept where both messages are complete.
    func release(requestComplete: Bool) {
        leave()
        guard let upstream else { return }
        self.upstream = nil
        upstream.release(requestComplete: requestComplete)
    }

    /// Gives up on the response.
    func cancel() {
        leave()
        upstream?.cancel()
        upstream = nil
    }
}
