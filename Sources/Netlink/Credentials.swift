import CLinux
import Glibc

/// The owner that a thread's new sockets get: its file system user and group.
package enum Credentials {
    /// Runs `body` with the calling thread's file system user and group changed.
    ///
    /// nft's `meta skuid` and `skgid` see the owner of the socket's file, fixed when it is made. It is synchronous for a
    /// reason: after a suspension another task would run as this user. The corresponding C functions are `setfsuid`
    /// and `setfsgid`; they report no errors, so the values are read back.
    package static func enter<Result>(uid: UInt32, gid: UInt32, _ body: () throws -> Result) throws -> Result {
        let (previousUser, previousGroup) = (clinux_getfsuid(), clinux_getfsgid())
        defer { restore(uid: previousUser, gid: previousGroup) }
        // The group first: leaving user 0 takes capabilities away.
        guard clinux_setfsgid(gid) == 0, clinux_setfsuid(uid) == 0 else {
            throw KernelError(
                "become", "user \(uid), group \(gid)", errno: EPERM,
                remedy: "run as root; in a user namespace the ids must be mapped (a single-id map is not enough)")
        }
        return try body()
    }

    /// Whether the calling thread may make namespaces, links and rules.
    package static var canAdministerNetworks: Bool {
        clinux_has_capability(Int32(CLINUX_CAP_NET_ADMIN)) == 1
            && clinux_has_capability(Int32(CLINUX_CAP_SYS_ADMIN)) == 1
    }

    /// Going on as someone else could let a flow pass as the proxy's, so failure ends the process.
    private static func restore(uid: UInt32, gid: UInt32) {
        if clinux_setfsuid(uid) != 0 || clinux_setfsgid(gid) != 0 {
            clinux_abort("egress-lab: can't return to a thread's own file system user and group")
        }
    }
}
