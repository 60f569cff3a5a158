package import ProxyModel

/// A running proxy, whoever implements it: it executes a `ProxyConfiguration` and reports `ProxyEvent`s.
package protocol DataPlane: Sendable {
    /// Binds the listeners that have `bindToPort`; throws `ProxyStartError` when one can't be bound.
    func start() async throws

    /// Puts `configuration` in force: when it returns, new connections and the next request of kept ones follow it.
    ///
    /// Connections of unchanged listeners live on, and all statistics but those of clusters that are gone.
    func update(_ configuration: ProxyConfiguration) async throws

    /// Has the next requests find out anew what can be reached: kept upstream connections are closed, and names that
    /// gave no address are asked for at once.
    func meetNewPolicies() async throws

    /// Returns when everything that has reached the proxy up to now has been worked on and its events delivered: what
    /// has no record then has none.
    func settle() async throws

    /// Stops accepting and closes all connections; all records are written when it returns.
    func stop() async

    /// Ends as fast as it can; what is not recorded yet is lost. For a lab that is over.
    func abandon() async

    /// All counters and gauges by Envoy's names.
    func statistics() async throws -> [String: UInt64]

    /// One counter, named with or without the `;` that ends the cluster's or prefix' part; nil when there is none.
    func statistic(_ name: String) async throws -> UInt64?

    /// What its administration interface answers; nil for what is not its own affair.
    func admin(_ request: AdminRequest) async throws -> AdminAnswer?

    /// The lines of the configured access logs, and of the proxy's own, after the first `count` entries that there have
    /// ever been, and how many entries there have been up to now. The newest 100 000 entries are kept.
    func logLines(after count: Int) -> (lines: [ProxyLogLine], count: Int)

    /// The structured records behind the lines.
    func accessLogRecords() -> [AccessLogRecord]
}

extension DataPlane {
    /// For those that stop fast.
    package func abandon() async { await stop() }

    /// The lines of all configured access logs, oldest first.
    package func accessLogLines() -> [String] {
        logLines(after: 0).lines.filter { $0.path != nil }.map(\.text)
    }
}
