/// Envoy: `config.cluster.v3.OutlierDetection`; success rates, which Istio switches off, are left out.
package struct OutlierDetection: Codable, Equatable, Sendable {
    /// How many 5xx in a row eject a host; 0: they don't.
    package var consecutive5xx: Int
    /// How many of 502, 503 and 504 in a row; 0: they don't.
    package var consecutiveGatewayFailure: Int
    /// How many failed connects and time-outs in a row, where they are counted apart; 0: they don't.
    package var consecutiveLocalOriginFailure: Int
    /// Whether what failed before a host answered is counted apart from its answers.
    package var splitsLocalOriginErrors: Bool
    /// How often it is looked whether ejected hosts may come back.
    package var intervalMs: Int
    /// For how long a host is ejected, times how often it was.
    package var baseEjectionTimeMs: Int
    package var maxEjectionPercent: Int
    /// With fewer hosts left, of 100, all of them are used again (Envoy: `healthy_panic_threshold`).
    package var healthyPanicThreshold: Int

    /// The defaults are Envoy's, but for gateway failures, which Envoy only counts, and the threshold, which is Istio's.
    package init(
        consecutive5xx: Int = 5, consecutiveGatewayFailure: Int = 0, consecutiveLocalOriginFailure: Int = 5,
        splitsLocalOriginErrors: Bool = false, intervalMs: Int = 10_000, baseEjectionTimeMs: Int = 30_000,
        maxEjectionPercent: Int = 10, healthyPanicThreshold: Int = 0
    ) {
        self.consecutive5xx = consecutive5xx
        self.consecutiveGatewayFailure = consecutiveGatewayFailure
        self.consecutiveLocalOriginFailure = consecutiveLocalOriginFailure
        self.splitsLocalOriginErrors = splitsLocalOriginErrors
        self.intervalMs = intervalMs
        self.baseEjectionTimeMs = baseEjectionTimeMs
        self.maxEjectionPercent = maxEjectionPercent
        self.healthyPanicThreshold = healthyPanicThreshold
    }
}
