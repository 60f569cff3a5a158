import Glibc
import Synchronization

/// How many files this process may have open at once.
///
/// The soft limit is low for the sake of old programs that use `select`; a process that serves thousands of connections
/// takes the hard one, and hands the old one on to its children.
package enum DescriptorLimit {
    private static let inherited = Mutex<UInt64?>(nil)

    /// The limit in force. The corresponding C function is `getrlimit` with `RLIMIT_NOFILE`.
    package static var current: UInt64 { UInt64(limits.rlim_cur) }

    /// What children are to have; nil while nothing was raised.
    static var ofChildren: UInt64? { inherited.withLock { $0 } }

    /// Raises the limit as far as an ordinary process may. A refusal leaves it as it is.
    ///
    /// The corresponding C function is `setrlimit` with `RLIMIT_NOFILE`.
    package static func raise() {
        var limits = limits
        guard limits.rlim_cur < limits.rlim_max else { return }
        let old = limits.rlim_cur
        limits.rlim_cur = limits.rlim_max
        guard setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limits) == 0 else { return }
        inherited.withLock { $0 = UInt64(old) }
    }

    private static var limits: rlimit {
        var limits = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limits)
        return limits
    }
}
