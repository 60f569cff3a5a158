import CLinux
import Glibc

/// A network namespace, kept alive by a descriptor alone.
package final class NetworkNamespace: Sendable {
    private let descriptor: FileDescriptor

    /// The namespace that `descriptor` refers to.
    package init(_ descriptor: FileDescriptor) { self.descriptor = descriptor }

    /// The descriptor, valid as long as this object lives.
    package var fileDescriptor: Int32 { descriptor.number }

    /// A number that no other live namespace has.
    package var identity: UInt64 {
        var status = stat()
        return fstat(descriptor.number, &status) == 0 ? UInt64(status.st_ino) : 0
    }

    /// The calling thread's namespace.
    package static func current() throws(KernelError) -> NetworkNamespace {
        // Not /proc/self, which is the first thread's.
        NetworkNamespace(try FileDescriptor.open("/proc/thread-self/ns/net", O_RDONLY))
    }

    /// A new, empty namespace; the calling thread stays in its own. The corresponding C function is `unshare`.
    package static func create() throws(KernelError) -> NetworkNamespace {
        let previous = try current()
        guard clinux_unshare(Int32(CLINUX_NEWNET)) == 0 else {
            throw KernelError("create", "a network namespace", errno: errno)
        }
        defer { previous.restore() }
        return try current()
    }

    /// Runs `body` with the calling thread inside this namespace.
    ///
    /// Sockets and netlink connections made in it belong to this namespace for good. It is synchronous for a reason:
    /// after a suspension another task would run in this namespace. The corresponding C function is `setns`.
    package func enter<Result>(_ body: () throws -> Result) throws -> Result {
        let previous = try Self.current()
        try join()
        defer { previous.restore() }
        return try body()
    }

    /// Runs `body` inside this namespace and as another owner: sockets made in it belong to `uid` and `gid` for good.
    package func enter<Result>(as uid: UInt32, gid: UInt32, _ body: () throws -> Result) throws -> Result {
        try enter { try Credentials.enter(uid: uid, gid: gid, body) }
    }

    /// Moves the calling thread into this namespace for good, as a worker process does once at its start.
    package func join() throws(KernelError) {
        guard clinux_setns(descriptor.number, Int32(CLINUX_NEWNET)) == 0 else {
            throw KernelError("enter", "a network namespace", errno: errno)
        }
    }

    /// Going on in a foreign namespace could send packets where they must never go, so failure ends the process.
    private func restore() {
        if clinux_setns(descriptor.number, Int32(CLINUX_NEWNET)) != 0 {
            clinux_abort("egress-lab: can't return to a thread's own network namespace: \(KernelError.text(of: errno))")
        }
    }
}
