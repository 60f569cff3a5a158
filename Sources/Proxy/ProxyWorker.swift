import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import NetworkAddresses
import ProxyModel

/// The proxy itself. Its mutable state is confined to `loop`, which is what makes it `Sendable`.
final class ProxyWorker: @unchecked Sendable {
    private struct Binding: Hashable {
        let listener: String
        let address: IPEndpoint
    }

    let loop: any EventLoop
    let statistics = ProxyStatistics()
    let log: RecordLog
    let dialer: UpstreamDialer
    let transportSockets = TransportSockets()
    private(set) var snapshot: ProxySnapshot?
    private(set) var clusters: [String: ClusterRuntime] = [:]
    private let initial: ProxyConfiguration
    private let context: any NetworkContext
    private let resolver: any HostResolver
    private let sink: @Sendable (ProxyEvent) -> Void
    private let drainTime: TimeAmount
    private var bound: [Binding: any Channel] = [:]
    private var connections: [UInt64: DownstreamConnection] = [:]
    private var httpCounters: [String: HTTPCounters] = [:]
    /// Of connections taken, by the prefix of listener or TCP proxy.
    private var connectionCounters: [String: Counter] = [:]
    private let descriptors = DescriptorBudget()
    private var lastID: UInt64 = 0
    private var lastStream: UInt64 = 0
    var admin = AdminState(startedAt: .now())
    private let reportingInterval: TimeAmount?
    /// TCP connections, with when each is next told of; in this order, because all wait for the same time.
    private var reports = CircularBuffer<ProgressReport>()
    private var isReporting = false
    private var emptied: EventLoopPromise<Void>?

    init(
        configuration: ProxyConfiguration, context: any NetworkContext, resolver: any HostResolver,
        loop: any EventLoop, drainTime: TimeAmount, recordLimit: Int,
        reportingInterval: TimeAmount? = nil, sink: @escaping @Sendable (ProxyEvent) -> Void
    ) {
        initial = configuration
        log = RecordLog(limit: recordLimit)
        self.context = context
        self.resolver = resolver
        self.loop = loop
        self.drainTime = drainTime
        self.reportingInterval = reportingInterval
        self.sink = sink
        dialer = UpstreamDialer(context: context, loop: loop)
    }

    // MARK: Life

    func start() async throws { try await install(initial) }
    func update(_ configuration: ProxyConfiguration) async throws { try await install(configuration) }

    func stop() async {
        let done = loop.makePromise(of: Void.self)
        loop.execute {
            for channel in self.bound.values { channel.close(promise: nil) }
            self.bound = [:]
            for cluster in self.clusters.values { cluster.retire() }
            self.clusters = [:]
            self.emptied = done
            for connection in Array(self.connections.values) { connection.peer?.shutDown() }
            self.checkEmptied()
        }
        try? await done.futureResult.get()
    }

    /// Takes no new connections; those there are end with their work. A later configuration listens again.
    func drainListeners(inboundOnly: Bool) {
        let listeners = snapshot?.listeners
        for (binding, channel) in bound
        where !inboundOnly || listeners?.named(binding.listener)?.trafficDirection == .inbound {
            channel.close(promise: nil)
            bound[binding] = nil
        }
        for connection in connections.values
        where !inboundOnly || connection.listener?.trafficDirection == .inbound {
            connection.peer?.startDraining()
        }
        admin.isDraining = true
    }

    /// Binds what is new before anything changes, so that a failure leaves the old configuration in force.
    private func install(_ model: ProxyConfiguration) async throws {
        let snapshot = try ProxySnapshot(model)
        let wanted = Set(
            model.listeners.filter(\.bindToPort).flatMap { listener in
                listener.addresses.map { Binding(listener: listener.name, address: $0) }
            })
        let existing = try await loop.submit { Set(self.bound.keys) }.get()
        var fresh: [Binding: any Channel] = [:]
        do {
            for binding in wanted.subtracting(existing).sorted(by: { $0.address < $1.address }) {
                fresh[binding] = try await bind(binding)
            }
        } catch {
            for channel in fresh.values { channel.close(promise: nil) }
            throw error
        }
        let added = fresh
        try await loop.submit {
            for (binding, channel) in self.bound where !wanted.contains(binding) {
                channel.close(promise: nil)
                self.bound[binding] = nil
            }
            self.bound.merge(added) { $1 }
            self.admin.isDraining = false
            self.adopt(snapshot)
        }.get()
    }

    private func adopt(_ snapshot: ProxySnapshot) {
        let old = self.snapshot
        self.snapshot = snapshot
        noteChanges(from: old?.model, to: snapshot.model)
        if old?.model.accessLogs != snapshot.model.accessLogs
            || old?.model.inboundAccessLogs != snapshot.model.inboundAccessLogs || old == nil
        {
            log.configure(snapshot.model)
        }
        transportSockets.adopt(snapshot.model.secrets ?? [])
        var next: [String: ClusterRuntime] = [:]
        for model in snapshot.model.clusters where next[model.name] == nil {
            if let cluster = clusters[model.name] {
                cluster.update(model)
                next[model.name] = cluster
            } else {
                next[model.name] = ClusterRuntime(model, resolver: resolver, loop: loop, statistics: statistics)
            }
        }
        let gone = clusters.filter { next[$0.key] == nil }
        for cluster in gone.values { cluster.retire() }
        statistics.forget(clusters: Array(gone.keys), living: Array(next.keys))
        clusters = next
        connectionCounters = [:]
        declareCounters(snapshot)
        drainChangedChains(snapshot)
    }

    /// Envoy closes connections of changed or removed filter chains once the drain time is over.
    private func drainChangedChains(_ snapshot: ProxySnapshot) {
        let stale = connections.values.filter { connection in
            guard let chain = connection.chain, let listener = connection.listener else { return false }
            let current = snapshot.listeners.named(listener.name)?.chain(named: chain.name)
            return current?.withoutOrigin != chain.withoutOrigin
        }
        if stale.isEmpty { return }
        for connection in stale { connection.peer?.startDraining() }
        loop.scheduleTask(in: drainTime) {
            for connection in stale where self.connections[connection.id] === connection {
                connection.peer?.shutDown()
            }
        }
    }

    /// Counters exist from the start, so that a 0 can be told from a wrong name.
    private func declareCounters(_ snapshot: ProxySnapshot) {
        for listener in snapshot.model.listeners {
            let chains = listener.filterChains + (listener.defaultFilterChain.map { [$0] } ?? [])
            for name in [
                "downstream_cx_total", "no_filter_chain_match", "downstream_listener_filter_remote_close",
                "downstream_global_cx_overflow",
            ] {
                _ = statistics.counter(listener.statisticsPrefix + name)
            }
            if chains.contains(where: { $0.transportSocket != nil }) {
                ListenerTLSCounters(statistics: statistics, prefix: listener.statisticsPrefix).declare()
            }
            for chain in chains {
                declareAuthorizationCounters(of: chain)
                switch chain.filter {
                case .tcpProxy(let proxy):
                    for name in ["downstream_cx_total", "idle_timeout", "max_downstream_connection_duration"] {
                        _ = statistics.counter("tcp.\(proxy.statPrefix).\(name)")
                    }
                case .httpConnectionManager(let manager): _ = httpCounters(manager.statPrefix)
                }
            }
        }
    }

    private func declareAuthorizationCounters(of chain: FilterChain) {
        for rbac in chain.authorization ?? [] { _ = rbacCounters("tcp.", rbac.shadowRulesStatPrefix) }
        guard case .httpConnectionManager(let manager) = chain.filter else { return }
        for filter in manager.httpFilters ?? [] {
            switch filter {
            case .rbac(let rbac): _ = rbacCounters("http.\(manager.statPrefix).", rbac.shadowRulesStatPrefix)
            case .externalAuthorization:
                _ = ExternalAuthorizationCounters(statistics, prefix: "http.\(manager.statPrefix).")
            }
        }
    }

    /// The counters of RBAC filters: `prefix` is `http.PREFIX.` or `tcp.`.
    func rbacCounters(_ prefix: String, _ shadowPrefix: String) -> RBACCounters {
        RBACCounters(statistics, prefix: prefix, shadowPrefix: shadowPrefix)
    }

    func httpCounters(_ prefix: String) -> HTTPCounters {
        if let known = httpCounters[prefix] { return known }
        let made = HTTPCounters(statistics, prefix: prefix)
        httpCounters[prefix] = made
        return made
    }

    /// Counts a connection under `listener.X` or `tcp.X`.
    ///
    /// - Parameter prefix: made only for the first one.
    func countConnection(of name: String, _ prefix: () -> String) {
        if let known = connectionCounters[name] {
            known.add()
            return
        }
        let made = statistics.counter(prefix() + "downstream_cx_total")
        connectionCounters[name] = made
        made.add()
    }

    private func bind(_ binding: Binding) async throws -> any Channel {
        let descriptor = try context.enter { try Sockets.listen(at: binding.address, for: binding.listener) }
        return try await ServerBootstrap(group: loop)
            // Said again, as NIO listens anew and has a shorter queue of its own.
            .serverChannelOption(.backlog, value: Sockets.backlog)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try ReceiveBuffers.limit(channel)
                    try channel.syncOptions?.setOption(.allowRemoteHalfClosure, value: true)
                    try channel.pipeline.syncOperations.addHandler(
                        ConnectionHandler(worker: self, capturing: binding.listener))
                }
            }
            .withBoundSocket(descriptor).get()
    }

    // MARK: Connections

    /// Whether there is room for the connection that got this descriptor.
    func admits(_ descriptor: CInt) -> Bool { descriptors.admits(descriptor) }

    func register(from source: IPEndpoint, originalDestination: IPEndpoint) -> DownstreamConnection {
        lastID += 1
        let connection = DownstreamConnection(id: lastID, source: source, destination: originalDestination)
        connections[lastID] = connection
        note(.conn_handler, .debug, "[C\(lastID)] new connection from \(source)")
        sink(.accepted(connection: lastID, from: source, originalDestination: originalDestination))
        return connection
    }

    func unregister(_ connection: DownstreamConnection) {
        guard connections.removeValue(forKey: connection.id) != nil else { return }
        note(.conn_handler, .debug, "[C\(connection.id)] adding to cleanup list")
        sink(.closed(connection: connection.id))
        checkEmptied()
    }

    func nextStreamID() -> UInt64 {
        lastStream += 1
        return lastStream
    }

    func reportConnecting(
        _ connection: DownstreamConnection, local: IPEndpoint?, to: IPEndpoint, cluster: String,
        request: String? = nil, isReused: Bool = false
    ) {
        note(
            .pool, .debug,
            "[C\(connection.id)] \(isReused ? "using existing fully connected connection" : "connecting") to \(to) "
                + "(\(cluster))")
        sink(
            .connecting(
                connection: connection.id, local: local, to: to, cluster: cluster, request: request,
                isReused: isReused))
    }

    /// Hands a record to the lab; only logged chains have it in the access log too.
    func write(_ record: AccessLogRecord, of connection: DownstreamConnection, isLogged: Bool = true) {
        var record = record
        connection.tls?.describe(&record)
        noteFailure(in: record, of: connection)
        if isLogged, connection.chain?.isLogged ?? true {
            log.append(record, connection.listener?.trafficDirection ?? .outbound)
        }
        sink(.record(connection: connection.id, record))
    }

    // MARK: Progress

    /// Tells of the connection time and again, for as long as it lives, if anybody wants that.
    func reportProgress(of filter: TCPProxyFilter) {
        guard let reportingInterval else { return }
        reports.append(ProgressReport(filter: filter, due: .now() + reportingInterval))
        scheduleReports()
    }

    private func scheduleReports() {
        guard !isReporting, let next = reports.first else { return }
        isReporting = true
        loop.scheduleTask(deadline: next.due) {
            self.isReporting = false
            let now = NIODeadline.now()
            while let report = self.reports.first, report.due <= now {
                self.reports.removeFirst()
                guard let filter = report.filter, var record = filter.progress else { continue }
                record.durationMs = filter.startedAt.millisecondsAgo
                self.sink(.progress(record))
                self.reportProgress(of: filter)
            }
            self.scheduleReports()
        }
    }

    // MARK: The proxy's own log

    func note(_ logger: ProxyLog.Logger, _ level: ProxyLog.Level, _ text: @autoclosure () -> String) {
        guard admin.log.writes(logger, level) else { return }
        log.append(own: ProxyLog.line(logger, level, text(), at: WallClock.now()))
    }

    /// What Envoy's router and TCP proxy say of what did not come about.
    private func noteFailure(in record: AccessLogRecord, of connection: DownstreamConnection) {
        guard admin.log.writes(.router, .debug) || admin.log.writes(.filter, .debug), !record.responseFlags.isEmpty
        else { return }
        let what: [String?] = [
            record.responseFlags.joined(separator: ","), record.responseCodeDetails,
            record.upstreamTransportFailureReason,
        ]
        note(
            record.kind == .http ? .router : .filter, .debug,
            "[C\(connection.id)] \(record.upstreamCluster ?? "no cluster"): "
                + what.compactMap(\.self).joined(separator: " "))
    }

    /// What a new configuration changes, as Envoy's discovery services tell it.
    private func noteChanges(from old: ProxyConfiguration?, to new: ProxyConfiguration) {
        guard admin.log.writes(.upstream, .info) || admin.log.writes(.config, .info) else { return }
        func changes<T: Equatable>(_ kind: KeyPath<ProxyConfiguration, [T]>, _ name: (T) -> String) -> (
            set: [String], gone: [String]
        ) {
            let before = Dictionary((old?[keyPath: kind] ?? []).map { (name($0), $0) }) { first, _ in first }
            let all = new[keyPath: kind]
            let names = Set(all.map(name))
            return (
                all.filter { before[name($0)] != $0 }.map(name), before.keys.filter { !names.contains($0) }.sorted()
            )
        }
        let clusters = changes(\.clusters, \.name)
        note(.upstream, .info, "cds: add \(clusters.set.count) cluster(s), remove \(clusters.gone.count) cluster(s)")
        for name in clusters.set { note(.upstream, .debug, "cds: add/update cluster '\(name)'") }
        for name in clusters.gone { note(.upstream, .debug, "cds: remove cluster '\(name)'") }
        let listeners = changes(\.listeners, \.name)
        for name in listeners.set { note(.upstream, .info, "lds: add/update listener '\(name)'") }
        for name in listeners.gone { note(.upstream, .info, "lds: remove listener '\(name)'") }
        for name in changes(\.routes, \.name).set { note(.config, .info, "rds: add/update route '\(name)'") }
    }

    private func checkEmptied() {
        guard connections.isEmpty, let promise = emptied else { return }
        emptied = nil
        promise.succeed(())
    }
}

extension Listener {
    /// The chain called `name`, the default one included.
    func chain(named name: String) -> FilterChain? {
        filterChains.first { $0.name == name } ?? (defaultFilterChain?.name == name ? defaultFilterChain : nil)
    }

    /// The prefix of the listener's statistics: `listener.0.0.0.0_443.`.
    var statisticsPrefix: String {
        guard let address = addresses.first else { return "listener.\(name)." }
        let host = address.address.family == .ipv4 ? "\(address.address)" : "[\(address.address)]"
        return "listener.\(host)_\(address.port)."
    }
}

extension FilterChain {
    /// The chain as far as it matters for connections: a manifest line that moves changes nothing.
    fileprivate var withoutOrigin: FilterChain {
        var copy = self
        copy.origin = nil
        // Asked anew for each request, as it then stands.
        copy.authorization = nil
        if case .httpConnectionManager(var manager) = filter {
            manager.httpFilters = nil
            copy.filter = .httpConnectionManager(manager)
        }
        return copy
    }
}

/// A TCP connection that is told of when its time comes, if it still lives.
private struct ProgressReport {
    weak var filter: TCPProxyFilter?
    let due: NIODeadline
}
