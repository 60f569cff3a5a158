import Glibc
import Netlink

/// Connections to 127.0.0.1 in the calling thread's namespace.
enum Loopback {
    /// Connects to `port` and returns the error number, 0 for success.
    static func connectError(port: UInt16) throws -> Int32 {
        let descriptor = FileDescriptor(owning: socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor.number, $0, size) }
        }
        return result == 0 ? 0 : errno
    }
}
