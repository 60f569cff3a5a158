import NIOCore

/// Runs tasks on an event loop.
///
/// Certificates are checked by asynchronous functions that never wait: on the connection's own loop that costs no change
/// of threads, and whoever blocks the threads of the common pool does not hold up a handshake.
final class LoopTaskExecutor: TaskExecutor {
    private let loop: any EventLoop

    init(_ loop: any EventLoop) { self.loop = loop }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        loop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}

extension EventLoop {
    /// The future result of `body`, which runs on this loop.
    func run<T: Sendable>(_ body: @escaping @Sendable () async -> T) -> EventLoopFuture<T> {
        let promise = makePromise(of: T.self)
        Task(executorPreference: LoopTaskExecutor(self)) { promise.succeed(await body()) }
        return promise.futureResult
    }
}
