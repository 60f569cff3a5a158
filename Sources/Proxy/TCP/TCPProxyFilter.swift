import NIOCore
import NetworkAddresses
import ProxyModel

/// What a TCP chain does with a connection: chooses a cluster, connects to one of its hosts and relays (Envoy:
/// `TcpProxy::Filter`). Confined to the worker's loop.
final class TCPProxyFilter: @unchecked Sendable {
    /// A FIN does not tell a client that left from one that only finished sending: a connect in progress gets this
    /// long to succeed for the sake of the latter.
    static let leftGrace = TimeAmount.milliseconds(100)

    /// Envoy's default.
    private static let defaultIdleTimeoutMs = 3_600_000

    private enum State { case connecting, relaying, ended }

    private let model: TCPProxy
    private let connection: DownstreamConnection
    private let worker: ProxyWorker
    private let downstream: RelayEnd
    private let close: () -> Void
    private var record: AccessLogRecord
    private var state = State.connecting
    private var pendingConnect: (any Channel)?
    private var leaveTimer: Scheduled<Void>?
    private var durationTimer: Scheduled<Void>?
    private var idleTimer: IdleTimer?

    /// - Parameters:
    ///   - downstream: the client's end.
    ///   - close: closes the client's connection.
    init(
        _ model: TCPProxy, connection: DownstreamConnection, worker: ProxyWorker, downstream: RelayEnd,
        close: @escaping () -> Void
    ) {
        self.model = model
        self.connection = connection
        self.worker = worker
        self.downstream = downstream
        self.close = close
        record = connection.makeRecord(.tcp, streamID: worker.nextStreamID(), startTime: connection.startTime)
    }

    func start() {
        worker.countConnection(of: "tcp.\(model.statPrefix)") { "tcp.\(model.statPrefix)." }
        worker.reportProgress(of: self)
        if let limit = model.maxDownstreamConnectionDurationMs {
            durationTimer = worker.loop.scheduleTask(in: .milliseconds(Int64(limit))) { self.durationReached() }
        }
        guard let name = model.clusters.randomCluster()?.name, let cluster = worker.clusters[name] else {
            end(flags: ["NC"])
            return
        }
        record.upstreamCluster = name
        if record.origin == nil { record.origin = cluster.model.origin }
        guard let name = dynamicHost else {
            cluster.whenReady { [weak self] in self?.connect(to: cluster) }
            return
        }
        cluster.resolve(name) { [weak self] in self?.connect(to: cluster) }
    }

    /// What the connection's SNI asks for, where that is resolved.
    private var dynamicHost: DynamicHostName? {
        guard let port = model.dynamicForwardProxyPort, let name = connection.serverName, !name.isEmpty else {
            return nil
        }
        return DynamicHostName(name, port: port)
    }

    private var hash: UInt64? {
        model.hashesSourceIP == true ? XXHash64.hash(connection.source.address.description) : nil
    }

    /// What is known of the connection up to now; nil when it has ended.
    var progress: AccessLogRecord? {
        guard state != .ended else { return nil }
        var current = record
        connection.tls?.describe(&current)
        return current
    }

    var startedAt: NIODeadline { connection.startedAt }

    // MARK: From the client

    /// The client's FIN.
    func inputEnded() {
        guard state == .connecting else { return }
        leaveTimer = worker.loop.scheduleTask(in: Self.leftGrace) { self.end(flags: ["DC"]) }
    }

    /// The client's connection is gone; the record can be written.
    func closed() {
        leaveTimer?.cancel()
        durationTimer?.cancel()
        idleTimer?.stop()
        if state == .connecting { record.responseFlags = ["DC"] }
        // First, or the cancelled connect would count as a failed one.
        state = .ended
        pendingConnect?.close(promise: nil)
        pendingConnect = nil
        downstream.passed = { _ in }
        downstream.otherWasReset = {}
        downstream.admits = nil
        record.durationMs = connection.startedAt.millisecondsAgo
        worker.write(record, of: connection)
    }

    /// The client's TLS did not come about; its connection is about to close.
    func handshakeFailed() {
        state = .ended
        pendingConnect?.close(promise: nil)
        pendingConnect = nil
        downstream.close()
    }

    // MARK: Upstream

    private func connect(to cluster: ClusterRuntime) {
        guard state == .connecting else { return }
        guard let host = cluster.pick(for: connection.destination, hash: hash, name: dynamicHost) else {
            cluster.counters.noneHealthy.add()
            end(flags: ["UH"])
            return
        }
        if cluster.isFull {
            cluster.counters.connectionOverflow.add()
            end(flags: ["UO"])
            return
        }
        record.upstreamHost = host.endpoint
        let count = UpstreamConnectionCount(cluster.counters, host: host, isPooled: false)
        let upstream = RelayHandler(
            connected: {
                cluster.counters.requests.add()
                host.counted.requests += 1
            }, closed: { count.end() })
        let transport = worker.transport(of: cluster, to: host)
        let attempt = worker.dialer.dial(
            host.endpoint, from: cluster.sourceAddress(for: host.endpoint.address.family),
            timeoutMs: cluster.model.connectTimeoutMs, allowsHalfClosure: true, transport: transport
        ) { try $0.pipeline.syncOperations.addHandler(upstream) }
        pendingConnect = attempt.channel
        worker.reportConnecting(connection, local: attempt.local, to: host.endpoint, cluster: cluster.model.name)
        count.begin()
        let isImmediate = NIOLoopBoundBox(true, eventLoop: worker.loop)
        attempt.connected.whenComplete { result in
            self.pendingConnect = nil
            switch result {
            case .success(let channel):
                cluster.report(.connected(isFinal: true), of: host)
                transport?.session.describeUpstream(&self.record)
                self.connected(upstream, channel, cluster)
            case .failure(let error):
                let failure = ConnectFailure(error, immediate: isImmediate.value)
                if !failure.isCancelled { cluster.report(failure.isTimeout ? .timedOut : .connectFailed, of: host) }
                count.fail(failure)
                self.connectFailed(failure)
            }
        }
        isImmediate.value = false
    }

    private func connected(_ upstream: RelayHandler, _ channel: any Channel, _ cluster: ClusterRuntime) {
        guard state == .connecting else {
            channel.close(promise: nil)
            return
        }
        leaveTimer?.cancel()
        record.upstreamLocalAddress = UpstreamDialer.localEndpoint(channel)
        state = .relaying
        let idleTimer = IdleTimer(limitMs: model.idleTimeoutMs ?? Self.defaultIdleTimeoutMs, loop: worker.loop) {
            [weak self] in
            self?.idleTooLong()
        }
        self.idleTimer = idleTimer
        downstream.passed = { count in
            self.record.bytesReceived += UInt64(count)
            cluster.counters.sentBytes.add(count)
            idleTimer?.touch()
        }
        upstream.end.passed = { count in
            self.record.bytesSent += UInt64(count)
            cluster.counters.receivedBytes.add(count)
            idleTimer?.touch()
        }
        downstream.otherWasReset = { self.record.responseFlags = ["UR"] }
        downstream.admits = { self.isAuthorized(receiving: $0) }
        downstream.join(upstream.end)
    }

    /// As in Envoy, the first bytes ask whether the connection may be; its upstream stands by then. They count as
    /// received, but not as sent.
    private func isAuthorized(receiving count: Int) -> Bool {
        guard let authorization = connection.currentAuthorization(worker) else { return true }
        let subject = AuthorizationSubject(connection)
        for rbac in authorization.connection {
            let counters = worker.rbacCounters("tcp.", rbac.shadowRulesStatPrefix)
            guard let denial = rbac.check(subject, counters).denial else { continue }
            record.bytesReceived += UInt64(count)
            record.connectionTerminationDetails = denial.details
            if let origin = denial.origin { record.origin = origin }
            endRelaying()
            return false
        }
        return true
    }

    private func connectFailed(_ failure: ConnectFailure) {
        guard state == .connecting else { return }
        record.upstreamTransportFailureReason = failure.isTimeout ? "connection_timeout" : failure.reason
        end(flags: ["UF", "URX"])
    }

    // MARK: End

    private func idleTooLong() {
        worker.statistics.counter("tcp.\(model.statPrefix).idle_timeout").add()
        endRelaying()
    }

    private func durationReached() {
        guard state != .ended else { return }
        worker.statistics.counter("tcp.\(model.statPrefix).max_downstream_connection_duration").add()
        if state == .relaying {
            record.responseFlags = ["DT"]
            endRelaying()
        } else {
            end(flags: ["DT"])
        }
    }

    /// Both ends close.
    private func endRelaying() {
        state = .ended
        downstream.close()
        close()
    }

    private func end(flags: [String]) {
        guard state != .ended else { return }
        record.responseFlags = flags
        state = .ended
        let pending = pendingConnect
        pendingConnect = nil
        pending?.close(promise: nil)
        close()
    }
}
