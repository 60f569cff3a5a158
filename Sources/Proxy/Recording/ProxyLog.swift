/// The proxy's own log, in Envoy's words: what it does, as far as the levels of its loggers let that through. Confined
/// to the worker's loop.
struct ProxyLog {
    /// How much a line matters (Envoy: `spdlog::level`).
    enum Level: String, CaseIterable, Comparable {
        case trace, debug, info, warning, error, critical, off

        static func < (one: Level, other: Level) -> Bool {
            one.rank < other.rank
        }

        private var rank: Int { Self.allCases.firstIndex(of: self) ?? 0 }
    }

    /// What the lines are about. Those that write nothing here are known all the same: who sets a level names them.
    enum Logger: String, CaseIterable {
        case admin, client, config, conn_handler, connection, dns, ext_authz, filter, forward_proxy, http, http2, main,
            pool, rbac, router, secret, upstream
    }

    /// What the agent starts a proxy with (`proxyLogLevel`).
    static let defaultLevel = Level.warning

    private var changed: [Logger: Level] = [:]
    /// The lowest level of all, so that what nobody wants costs one comparison.
    private var lowest = defaultLevel

    func level(of logger: Logger) -> Level { changed[logger] ?? Self.defaultLevel }

    mutating func set(_ level: Level, of logger: Logger) {
        changed[logger] = level
        lowest = Logger.allCases.map(self.level).min() ?? Self.defaultLevel
    }

    func writes(_ logger: Logger, _ level: Level) -> Bool { level >= lowest && level >= self.level(of: logger) }

    /// `[2026-01-31 12:00:00.000][1][debug][router] text`, as Envoy without the places of its sources.
    static func line(_ logger: Logger, _ level: Level, _ text: String, at time: Double) -> String {
        let moment = UTCTime.formatted(time, as: "%Y-%m-%d %H:%M:%S.%3f")
        return "[\(moment)][1][\(level)][\(logger)] \(text)"
    }
}
