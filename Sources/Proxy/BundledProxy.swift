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
    ///   - sink: gets the events, on the proxy's event loop; must return soon.
    package init(
        configuration: ProxyConfiguration, context: any NetworkContext, resolver: any HostResolver,
        group: any EventLoopGroup, drainTime: TimeAmount = .seconds(45), recordLimit: Int = 100_000,
        sink: @escaping @Sendable (ProxyEvent) -> Void
    ) {
        worker = ProxyWorker(
            configuration: configuration, context: context, resolver: resolver, loop: group.next(),
            drainTime: drainTime, recordLimit: recordLimit, sink: sink)
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
    package func accessLogLines() -> [String] { worker.log.lines() }
    package func accessLogLines(after count: Int) -> (lines: [String], count: Int) { worker.log.lines(after: count) }
    package func accessLogRecords() -> [AccessLogRecord] { worker.log.records() }
}
