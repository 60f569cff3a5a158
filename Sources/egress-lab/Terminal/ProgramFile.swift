import Glibc
import Netlink

/// Files read without Foundation, whose first URL and file cost a start more than the reading does.
enum ProgramFile {
    /// All bytes of a file, of whatever length it says it has: those under /proc say 0. `-` is standard input.
    static func bytes(of path: String) throws(KernelError) -> [UInt8] {
        if path == "-" { return try bytes(from: STDIN_FILENO, called: path) }
        let file = try FileDescriptor.open(path, O_RDONLY)
        defer { withExtendedLifetime(file) {} }
        return try bytes(from: file.number, called: path)
    }

    private static func bytes(from descriptor: Int32, called path: String) throws(KernelError) -> [UInt8] {
        var bytes: [UInt8] = []
        while true {
            var failure: Int32?
            let part = [UInt8](unsafeUninitializedCapacity: 65_536) { buffer, count in
                let got = read(descriptor, buffer.baseAddress, buffer.count)
                if got < 0 { failure = errno }
                count = max(got, 0)
            }
            if failure == EINTR { continue }
            if let failure { throw KernelError("read", path, errno: failure) }
            if part.isEmpty { return bytes }
            bytes += part
        }
    }
}
