import Glibc

/// How many of the process's descriptors clients may take.
///
/// The kernel gives the lowest free number: a connection's own number tells how many are in use. Clients get all but
/// a part that is kept for upstream connections, names and files, so that those who are served already stay served.
struct DescriptorBudget {
    private let limit: CInt

    /// By the limit in force, which a process should have raised before.
    init() {
        var limits = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limits)
        self.init(limit: Int(clamping: limits.rlim_cur))
    }

    init(limit: Int) { self.limit = CInt(clamping: limit - max(limit / 32, 16)) }

    /// Whether a client may keep the connection that got this number.
    func admits(_ descriptor: CInt) -> Bool { descriptor < limit }
}
