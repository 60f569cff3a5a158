package import NIOCore
package import ProxyModel

/// The proxy inside this process, on SwiftNIO. Each works on one event loop of its group.
package final class BundledProxy: DataPlane {
    let worker: ProxyWorker

    /// - Parameters:
    ///   - context: entered for every socket.
    ///   - drainTime: how long connections of changed or removed filter chains live on after an update. The default
    ///     is Istio's (`proxyConfig.drainDuration`).
    ///   - recordLimit: how many of the newest records are kept for `accessLogRecords`.
    ///   - reportingInterval: how often there is a `progress` of each living TCP connection; nil: never.
    ///   - sink: gets the events, on the proxy's event loop; must return soon.
    package init(
        configuration: ProxyConfiguration, context: any NetworkContext, resolver: any HostResolver,
        group: any EventLoopGroup, drainTime: TimeAmount = .seconds(45), recordLimit: Int = 100_000,
        reportingInterval: TimeAmount? = nil, sink: @escaping @Sendable (ProxyEvent) -> Void
    ) {
        worker = ProxyWorker(
            configuration: configuration, context: context, resolver: resolver, loop: group.next(),
            drainTime: drainTime, recordLimit: recordLimit, reportingInterval: reportingInterval, sink: sink)
    }

    package func start() async throws { try await worker.start() }
    package func update(_ configuration: ProxyConfiguration) async throws { try await worker.update(configuration) }
    package func meetNewPolicies() async {
        let done = worker.loop.submit { [worker] in
            for cluster in worker.clusters.values { cluster.meetNewPolicies() }
        }
        try? await done.get()
    }
    package func settle() async {
        // Events are delivered as they happen; what the loop has taken up before this is over then.
        try? await worker.loop.submit {}.get()
    }
    package func stop() async { await worker.stop() }
    package func statistics() -> [String: UInt64] { worker.statistics.snapshot() }
    package func statistic(_ name: String) -> UInt64? { worker.statistics.value(of: name) }
    package func admin(_ request: AdminRequest) async throws -> AdminAnswer? {
        try await worker.loop.submit { [worker] in AdminPages(worker: worker).answer(request) }.get()
    }
    package func logLines(after count: Int) -> (lines: [ProxyLogLine], count: Int) { worker.log.lines(after: count) }
    package func accessLogRecords() -> [AccessLogRecord] { worker.log.records() }
}
