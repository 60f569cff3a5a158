import NIOCore
import NIOPosix

/// A listener of Envoy that only answers and logs: who has passed it knows that what came before is worked on.
///
/// Envoy has one worker here, and a worker has one loop. The answer to a first connection may be written in the same turn
/// in which the connections of before are noticed; that to a second one comes in a later turn. All lines go to one sink in
/// their order, so when the line of the second has been read, so have all that were written before.
///
/// Confined to `loop`.
final class EnvoyFence: @unchecked Sendable {
    /// The fence was not passed in time.
    struct Late: Error {}

    private let socket: String
    private let loop: any EventLoop
    private let timeout: TimeAmount
    private var made = 0
    private var read = 0
    private var waiting: [(count: Int, promise: EventLoopPromise<Void>)] = []
    private var isPassing = false
    /// The passage after the current one: those who come while one is on its way need a later one.
    private var next: EventLoopPromise<Void>?
    private var failure: (any Error)?

    init(socket: String, loop: any EventLoop, timeout: TimeAmount = .seconds(5)) {
        self.socket = socket
        self.loop = loop
        self.timeout = timeout
    }

    /// Completes when everything that reached Envoy up to now has been worked on, and all lines about it were read.
    func pass() async throws { try await loop.flatSubmit { self.enqueue() }.get() }

    /// A line of the fence was read. To be called on the loop.
    func noteLine() {
        read += 1
        let done = waiting.filter { $0.count <= read }
        waiting.removeAll { $0.count <= read }
        for waiter in done { waiter.promise.succeed(()) }
    }

    /// Envoy is gone: nobody passes any more. To be called on the loop.
    func fail(_ error: any Error) {
        failure = failure ?? error
        let all = waiting
        waiting = []
        for waiter in all { waiter.promise.fail(error) }
    }

    private func enqueue() -> EventLoopFuture<Void> {
        guard isPassing else { return begin() }
        if let next { return next.futureResult }
        let promise = loop.makePromise(of: Void.self)
        next = promise
        return promise.futureResult
    }

    private func begin() -> EventLoopFuture<Void> {
        isPassing = true
        let done = loop.makePromise(of: Void.self)
        let deadline = loop.scheduleTask(in: timeout) { done.fail(Late()) }
        roundTrip().flatMap { self.roundTrip() }.flatMap { self.linesRead() }.cascade(to: done)
        done.futureResult.whenComplete { _ in
            deadline.cancel()
            self.isPassing = false
            guard let next = self.next else { return }
            self.next = nil
            next.completeWith(self.begin())
        }
        return done.futureResult
    }

    private func roundTrip() -> EventLoopFuture<Void> {
        if let failure { return loop.makeFailedFuture(failure) }
        return ClientBootstrap(group: loop).connect(unixDomainSocketPath: socket).flatMap { channel in
            self.made += 1
            return channel.closeFuture
        }
    }

    private func linesRead() -> EventLoopFuture<Void> {
        if let failure { return loop.makeFailedFuture(failure) }
        guard read < made else { return loop.makeSucceededVoidFuture() }
        let promise = loop.makePromise(of: Void.self)
        waiting.append((made, promise))
        return promise.futureResult
    }
}
