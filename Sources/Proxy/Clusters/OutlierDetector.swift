import NIOCore
import ProxyModel

/// What became of an attempt, as far as it tells of the host's health.
enum HostResult {
    /// The host answered.
    case response(status: Int)
    /// A connection of TCP is made, or of HTTP, on which an answer may follow.
    case connected(isFinal: Bool)
    /// No connection, or one that ended before the answer.
    case connectFailed
    case timedOut
}

/// A host's failures in a row, and its ejections.
struct HostHealth {
    var consecutive5xx = 0
    var consecutiveGatewayFailure = 0
    var consecutiveLocalOriginFailure = 0
    var ejectedAt: NIODeadline?
    /// How often in a row it was ejected.
    var ejections = 0
}

/// Takes hosts that keep failing out of a cluster for a while (Envoy: `Outlier::DetectorImpl`). Confined to the
/// worker's loop.
final class OutlierDetector: @unchecked Sendable {
    /// Envoy: `max_ejection_time`.
    private static let longestEjection = TimeAmount.seconds(300)

    private let model: OutlierDetection
    private let counters: OutlierCounters
    private let hosts: () -> [UpstreamHost]
    private let changed: () -> Void
    private var timer: RepeatedTask?

    /// - Parameter changed: called when a host was ejected or came back.
    init(
        _ model: OutlierDetection, counters: OutlierCounters, loop: any EventLoop,
        hosts: @escaping () -> [UpstreamHost], changed: @escaping () -> Void
    ) {
        self.model = model
        self.counters = counters
        self.hosts = hosts
        self.changed = changed
        let interval = TimeAmount.milliseconds(Int64(max(model.intervalMs, 1)))
        timer = loop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { [weak self] _ in
            self?.readmit()
        }
    }

    func stop() {
        timer?.cancel()
        timer = nil
        for host in hosts() { forget(host) }
    }

    /// The host is no longer of the cluster.
    func forget(_ host: UpstreamHost) {
        if host.isEjected { counters.active.subtract() }
        host.health = HostHealth()
    }

    func put(_ result: HostResult, for host: UpstreamHost) {
        switch result {
        case .response(let status): count(status: status, host)
        case .connected(let isFinal):
            if model.splitsLocalOriginErrors {
                host.health.consecutiveLocalOriginFailure = 0
            } else if isFinal {
                count(status: 200, host)
            }
        case .connectFailed: countLocal(status: 503, host)
        case .timedOut: countLocal(status: 504, host)
        }
    }

    private func count(status: Int, _ host: UpstreamHost) {
        guard status >= 500 else {
            host.health.consecutive5xx = 0
            host.health.consecutiveGatewayFailure = 0
            return
        }
        if (502...504).contains(status) {
            host.health.consecutiveGatewayFailure += 1
            if host.health.consecutiveGatewayFailure == model.consecutiveGatewayFailure {
                host.health.consecutiveGatewayFailure = 0
                eject(host, counters.gatewayFailure)
            }
        } else {
            host.health.consecutiveGatewayFailure = 0
        }
        host.health.consecutive5xx += 1
        guard host.health.consecutive5xx == model.consecutive5xx else { return }
        host.health.consecutive5xx = 0
        eject(host, counters.consecutive5xx)
    }

    private func countLocal(status: Int, _ host: UpstreamHost) {
        guard model.splitsLocalOriginErrors else { return count(status: status, host) }
        host.health.consecutiveLocalOriginFailure += 1
        guard host.health.consecutiveLocalOriginFailure == model.consecutiveLocalOriginFailure else { return }
        host.health.consecutiveLocalOriginFailure = 0
        eject(host, counters.localOriginFailure)
    }

    private func eject(_ host: UpstreamHost, _ counter: Counter) {
        if host.isEjected { return }
        let all = hosts()
        let ejected = all.count(where: \.isEjected)
        guard (ejected + 1) * 100 <= model.maxEjectionPercent * all.count else {
            counters.overflow.add()
            return
        }
        host.health.ejectedAt = .now()
        if duration(of: host.health.ejections) < Self.longestEjection + duration(of: 1) { host.health.ejections += 1 }
        counters.active.add()
        counters.enforced.add()
        counter.add()
        changed()
    }

    /// Lets hosts back in whose time is over; those that behaved meanwhile are ejected for less long the next time.
    private func readmit() {
        let now = NIODeadline.now()
        var hasChanged = false
        for host in hosts() {
            guard let since = host.health.ejectedAt else {
                if host.health.ejections > 0 { host.health.ejections -= 1 }
                continue
            }
            guard since + min(duration(of: host.health.ejections), Self.longestEjection) <= now else { continue }
            host.health.ejectedAt = nil
            host.health.consecutive5xx = 0
            host.health.consecutiveGatewayFailure = 0
            host.health.consecutiveLocalOriginFailure = 0
            counters.active.subtract()
            hasChanged = true
        }
        if hasChanged { changed() }
    }

    private func duration(of ejections: Int) -> TimeAmount {
        .milliseconds(Int64(model.baseEjectionTimeMs) * Int64(ejections))
    }
}

/// The counters under `cluster.X.outlier_detection.`.
final class OutlierCounters {
    let active: Counter
    let enforced: Counter
    let overflow: Counter
    let consecutive5xx: Counter
    let gatewayFailure: Counter
    let localOriginFailure: Counter

    init(_ statistics: ProxyStatistics, cluster: String) {
        let counter = { (name: String) in statistics.counter("cluster.\(cluster).outlier_detection.ejections_\(name)") }
        active = counter("active")
        enforced = counter("enforced_total")
        overflow = counter("overflow")
        consecutive5xx = counter("enforced_consecutive_5xx")
        gatewayFailure = counter("enforced_consecutive_gateway_failure")
        localOriginFailure = counter("enforced_consecutive_local_origin_failure")
    }
}
