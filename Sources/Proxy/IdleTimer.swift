import NIOCore

/// Tells when nothing has happened for a while. Confined to the worker's loop.
///
/// What happens only leaves its time; the clock is set again when it has run out.
final class IdleTimer: @unchecked Sendable {
    private let limit: TimeAmount
    private let loop: any EventLoop
    private let expired: () -> Void
    private var last = NIODeadline.now()
    /// As long as it is, time does not count.
    var isBusy = false { didSet { touch() } }
    private var timer: Scheduled<Void>?

    /// Starts at once; nil where there is no limit: with 0.
    init?(limitMs: Int, loop: any EventLoop, expired: @escaping () -> Void) {
        if limitMs <= 0 { return nil }
        limit = .milliseconds(Int64(limitMs))
        self.loop = loop
        self.expired = expired
        schedule()
    }

    func touch() { last = .now() }

    func stop() {
        timer?.cancel()
        timer = nil
    }

    private func schedule() {
        timer = loop.scheduleTask(deadline: last + limit) { [weak self] in
            guard let self, self.timer != nil else { return }
            if self.isBusy { self.touch() }
            if NIODeadline.now() < self.last + self.limit {
                self.schedule()
            } else {
                self.timer = nil
                self.expired()
            }
        }
    }
}
