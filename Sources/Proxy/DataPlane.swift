package import ProxyModel

/// A running proxy, whoever implements it: it executes a `ProxyConfiguration` and reports `ProxyEvent`s.
package protocol DataPlane: Sendable {
    /// Binds the listeners that have `bindToPort`; throws `ProxyStartError` when one can't be bound.
    func start() async throws

    /// Puts `configuration` in force: when it returns, new connections and the next request of kept ones follow it.
    ///
    /// Connections of unchanged listeners, and all statistics, live on.
    func update(_ configuration: ProxyConfiguration) async throws

    /// Stops accepting and closes all connections; all records are written when it returns.
    func stop() async

    /// All counters and gauges by Envoy's names.
    func statistics() -> [String: UInt64]

    /// One counter, named with or without the `;` that ends the cluster's or prefix' part; nil when there is none.
    func statistic(_ name: String) -> UInt64?

    /// The lines of the configured access log, oldest first; the newest 100 000 are kept.
    func accessLogLines() -> [String]

    /// The structured records behind the lines.
    func accessLogRecords() -> [AccessLogRecord]
}
