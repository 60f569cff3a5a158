import Glibc

/// What the kernel refused: what was tried, on which object, why it failed, and what can be done.
package struct KernelError: Error, Sendable {
    /// The kind of failure, to decide by.
    package enum Code: Sendable, Hashable {
        case permissionDenied, notSupported, alreadyExists, notFound, busy, timedOut, disconnected
        /// What was asked makes no sense; the kernel was not even asked, or said so.
        case invalidRequest
        case failed

        /// The kind of an error number.
        package init(errno number: Int32) {
            self =
                switch number {
                case EPERM, EACCES: .permissionDenied
                case EOPNOTSUPP, ENOSYS, EAFNOSUPPORT, EPROTONOSUPPORT: .notSupported
                case EEXIST, EADDRINUSE: .alreadyExists
                case ENOENT, ENODEV, ESRCH, EADDRNOTAVAIL: .notFound
                case EBUSY: .busy
                case ETIMEDOUT, EAGAIN: .timedOut
                case EPIPE, ECONNRESET, EBADF: .disconnected
                case EINVAL, ERANGE: .invalidRequest
                default: .failed
                }
        }
    }

    package var code: Code
    /// What was tried, to follow "can't": `install`, `create`.
    package var operation: String
    /// What it was tried on: `table inet lab, chain output, rule 3 (…)`.
    package var object: String
    /// The kernel's error number; 0 if the kernel was not asked.
    package var errno: Int32
    /// The kernel's own words (the extended ack), or ours.
    package var reason: String?
    /// What the user can do.
    package var remedy: String?

    /// A failure with the error number that the system call left.
    package init(
        _ operation: String, _ object: String, errno number: Int32, reason: String? = nil, remedy: String? = nil
    ) {
        code = Code(errno: number)
        (self.operation, self.object, self.errno) = (operation, object, number)
        (self.reason, self.remedy) = (reason, remedy ?? Self.remedy(for: number))
    }

    /// A failure found before the kernel was asked.
    package init(
        _ code: Code, _ operation: String, _ object: String, reason: String, remedy: String? = nil
    ) {
        (self.code, self.operation, self.object, self.errno) = (code, operation, object, 0)
        (self.reason, self.remedy) = (reason, remedy)
    }

    private static func remedy(for number: Int32) -> String? {
        switch number {
        case EPERM, EACCES: "run as root, or see `egress-lab doctor`"
        case EOPNOTSUPP, ENOSYS: "the kernel lacks this feature, see `egress-lab doctor`"
        case EMFILE, ENFILE: "raise the limit of open files (`ulimit -n`)"
        case ENOBUFS, ENOMEM: "free some memory, or run fewer jobs at a time"
        default: nil
        }
    }

    /// Text of an error number, safe on any thread. The corresponding C function is `strerror_r`.
    package static func text(of number: Int32) -> String {
        var buffer = [CChar](repeating: 0, count: 128)
        return buffer.withUnsafeMutableBufferPointer { bytes in
            guard let base = bytes.baseAddress, strerror_r(number, base, bytes.count) == 0 else {
                return "error \(number)"
            }
            return String(cString: base)
        }
    }
}

extension KernelError: CustomStringConvertible {
    package var description: String {
        let why = [errno == 0 ? nil : Self.text(of: errno), reason].compactMap { $0 }.joined(separator: ", ")
        return "can't \(operation) \(object): \(why)" + (remedy.map { "; \($0)" } ?? "")
    }
}
