import Glibc

/// Kernel parameters under /proc/sys; those of `net` belong to the calling thread's network namespace.
package enum Sysctl {
    /// Writes `value` to `name`, which is a path such as `net/ipv4/ip_forward`.
    package static func write(_ name: String, _ value: String) throws(KernelError) {
        let path = "/proc/sys/" + name
        let file: FileDescriptor
        do { file = try FileDescriptor.open(path, O_WRONLY) } catch { throw describe(error, name, value) }
        let bytes = Array(value.utf8)
        guard Glibc.write(file.number, bytes, bytes.count) == bytes.count else {
            throw describe(KernelError("set", name, errno: errno), name, value)
        }
    }

    /// The value of `name`, without the line feed.
    package static func read(_ name: String) throws(KernelError) -> String {
        let file = try FileDescriptor.open("/proc/sys/" + name, O_RDONLY)
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = Glibc.read(file.number, &bytes, bytes.count)
        guard count >= 0 else { throw KernelError("read", "sysctl \(name)", errno: errno) }
        let end = count > 0 && bytes[count - 1] == UInt8(ascii: "\n") ? count - 1 : count
        return String(decoding: bytes[..<end], as: UTF8.self)
    }

    private static func describe(_ error: KernelError, _ name: String, _ value: String) -> KernelError {
        KernelError("set", "sysctl \(name) to \(value)", errno: error.errno)
    }
}
