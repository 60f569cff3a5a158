import CLinux
import Glibc
import Synchronization

/// A program that runs as a child of this process; it never outlives its handle, nor this process.
package final class ChildProcess: Sendable {
    /// How a child ended.
    package enum ExitStatus: Sendable, Hashable {
        case exited(code: Int32)
        case signalled(Int32)

        package var isSuccess: Bool { self == .exited(code: 0) }
    }

    /// The process number, as this process sees it.
    package let processID: Int32
    private let descriptor: FileDescriptor
    private let ended = Mutex<ExitStatus?>(nil)
    private let isReleased = Mutex(false)

    /// A descriptor that becomes readable when the child has ended.
    package var pidfd: Int32 { descriptor.number }

    private init(processID: Int32, descriptor: FileDescriptor) {
        (self.processID, self.descriptor) = (processID, descriptor)
    }

    deinit {
        guard ended.withLock({ $0 }) == nil, !isReleased.withLock({ $0 }) else { return }
        clinux_pidfd_send_signal(descriptor.number, SIGKILL)
        var status: Int32 = 0
        clinux_wait(processID, 1, &status)
    }

    /// Starts `specification`. Throws with the step at which the child failed, before its program began.
    package static func spawn(_ specification: ChildSpecification) throws(KernelError) -> ChildProcess {
        var failure = clinux_spawn_failure()
        let pid = specification.withCSpecification { clinux_spawn($0, &failure) }
        guard pid > 0 else {
            throw specification.error(stage: failure.stage, errno: failure.error, index: Int(failure.index))
        }
        let pidfd = clinux_pidfd_open(pid)
        guard pidfd >= 0 else {
            let number = errno
            Glibc.kill(pid, SIGKILL)
            var status: Int32 = 0
            clinux_wait(pid, 1, &status)
            throw KernelError("watch", "process \(pid) (\(specification.executable))", errno: number)
        }
        return ChildProcess(processID: pid, descriptor: FileDescriptor(owning: pidfd))
    }

    /// Returns when no child is about to begin its program: until then it keeps the ports of sockets that were closed.
    package static func awaitSpawn() { clinux_await_spawn() }

    /// Sends a signal; a child that has ended already is no error. The corresponding C function is
    /// `pidfd_send_signal`.
    package func send(signal: Int32) throws(KernelError) {
        guard clinux_pidfd_send_signal(descriptor.number, signal) == 0 || errno == ESRCH else {
            throw KernelError("signal", "process \(processID)", errno: errno)
        }
    }

    /// Leaves the child to itself: it runs on when this handle is gone.
    package func release() { isReleased.withLock { $0 = true } }

    /// Ends the child at once.
    package func kill() { clinux_pidfd_send_signal(descriptor.number, SIGKILL) }

    /// Waits for the end and reaps the child; nil if it still runs after `timeout`.
    ///
    /// It blocks the calling thread; poll `pidfd` instead where that matters.
    package func wait(timeout: Duration? = nil) throws(KernelError) -> ExitStatus? {
        if let status = ended.withLock({ $0 }) { return status }
        let deadline = timeout.map { ContinuousClock.now + $0 }
        while true {
            var entry = pollfd(fd: descriptor.number, events: Int16(POLLIN), revents: 0)
            let milliseconds = deadline.map { Int32(clamping: ($0 - .now).roundedUpMilliseconds) } ?? -1
            let count = poll(&entry, 1, max(milliseconds, deadline == nil ? -1 : 0))
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw KernelError("wait for", "process \(processID)", errno: errno) }
            if count == 0 { return nil }
            return try reap()
        }
    }

    /// How the child ended; nil while it runs.
    package func exitStatus() throws(KernelError) -> ExitStatus? { try wait(timeout: .zero) }

    private func reap() throws(KernelError) -> ExitStatus {
        try ended.withLock { ended throws(KernelError) in
            if let ended { return ended }
            var status: Int32 = 0
            guard clinux_wait(processID, 1, &status) == 1 else {
                throw KernelError("wait for", "process \(processID)", errno: errno)
            }
            let result: ExitStatus =
                clinux_exited(status) != 0
                ? .exited(code: clinux_exit_code(status)) : .signalled(clinux_termination_signal(status))
            ended = result
            return result
        }
    }
}

extension Duration {
    /// Whole milliseconds, rounded up so that a wait never ends early.
    var roundedUpMilliseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds * 1000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
    }
}
