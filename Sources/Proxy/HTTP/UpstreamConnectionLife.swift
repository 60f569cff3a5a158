import NIOCore
import ProxyModel

/// Ends the connections to hosts that are kept too long: without a request, or altogether. Confined to the worker's
/// loop.
final class UpstreamConnectionLife: @unchecked Sendable {
    /// Envoy's default.
    private static let defaultIdleTimeoutMs = 3_600_000

    private let idle: IdleTimer?
    private let duration: Scheduled<Void>?

    /// `close` is called when the connection has been without a request for too long, `drain` when it shall take no
    /// further one.
    init(
        _ cluster: ClusterRuntime, loop: any EventLoop, close: @escaping () -> Void, drain: @escaping () -> Void
    ) {
        let counters = cluster.counters
        idle = IdleTimer(limitMs: cluster.model.idleTimeoutMs ?? Self.defaultIdleTimeoutMs, loop: loop) {
            counters.idleTimeouts.add()
            close()
        }
        let drainAction = NIOLoopBound(
            {
                counters.durationReached.add()
                drain()
            }, eventLoop: loop)
        duration = cluster.model.maxConnectionDurationMs.map { limit in
            loop.scheduleTask(in: .milliseconds(Int64(limit))) { drainAction.value() }
        }
    }

    /// Whether a request is in progress.
    var isBusy: Bool {
        get { idle?.isBusy ?? false }
        set { idle?.isBusy = newValue }
    }

    func end() {
        idle?.stop()
        duration?.cancel()
    }
}
