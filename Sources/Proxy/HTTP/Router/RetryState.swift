import NIOCore
import NetworkAddresses
import ProxyModel

/// Whether, when and how often a request is tried again (Envoy: `RetryStateImpl`). Confined to the worker's loop.
final class RetryState {
    private let policy: RetryPolicy?
    private let cluster: ClusterRuntime
    /// How often the request was tried again.
    private(set) var retries = 0
    private(set) var failedHosts: Set<IPEndpoint> = []
    /// Whether the request can be sent once more.
    private(set) var isPossible: Bool
    private var isCounted = false

    init(_ policy: RetryPolicy?, cluster: ClusterRuntime) {
        self.policy = policy
        self.cluster = cluster
        isPossible = (policy?.numRetries ?? 0) > 0
    }

    var perTryTimeoutMs: Int { policy?.perTryTimeoutMs ?? 0 }

    /// The request can't be sent once more: it is not kept, or its answer is on its way.
    func ruleOut() { isPossible = false }

    func decision(after outcome: AttemptOutcome) -> RetryDecision {
        guard let policy, isPossible else { return .doNotRetry }
        let decision = policy.decision(after: outcome, retries: retries)
        let isAdmitted = cluster.admitsRetry(besides: isCounted ? 1 : 0)
        return decision == .retry && !isAdmitted ? .overflow : decision
    }

    /// Counts another try and says how long it has to wait.
    func begin(after host: UpstreamHost?) -> TimeAmount {
        if let host, policy?.avoidsPreviousHosts ?? true { failedHosts.insert(host.endpoint) }
        retries += 1
        if !isCounted { cluster.load.retries += 1 }
        isCounted = true
        cluster.counters.retries.add()
        // Envoy: a random part of base * (2^n - 1), at most ten times the base.
        let base = max(policy?.baseIntervalMs ?? 25, 1)
        let ceiling = min(base * ((1 << min(retries, 10)) - 1), base * 10)
        return .milliseconds(Int64(Int.random(in: 0..<max(ceiling, 1))))
    }

    func end() {
        if isCounted { cluster.load.retries -= 1 }
        isCounted = false
    }
}
