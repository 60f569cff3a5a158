import Glibc
import Netlink
import NetworkAddresses

/// Blocking sockets of the calling thread's namespace, for tests.
struct ProbeSocket {
    let descriptor: FileDescriptor

    struct Failure: Error { let errno: Int32 }

    init(_ family: IPFamily, _ type: __socket_type, _ transport: Int32 = 0) throws {
        let number = socket(Int32(family.number), Int32(type.rawValue), transport)
        guard number >= 0 else { throw Failure(errno: errno) }
        descriptor = FileDescriptor(owning: number)
        var timeout = timeval(tv_sec: 5, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(number, SOL_SOCKET, SO_RCVTIMEO, &timeout, size)
        setsockopt(number, SOL_SOCKET, SO_SNDTIMEO, &timeout, size)
    }

    func connect(to endpoint: IPEndpoint) throws { try call(endpoint) { Glibc.connect(descriptor.number, $0, $1) } }

    func bind(to endpoint: IPEndpoint) throws { try call(endpoint) { Glibc.bind(descriptor.number, $0, $1) } }

    func listen() throws {
        guard Glibc.listen(descriptor.number, 16) == 0 else { throw Failure(errno: errno) }
    }

    func send(_ bytes: [UInt8], to endpoint: IPEndpoint) throws {
        try call(endpoint) { sendto(descriptor.number, bytes, bytes.count, 0, $0, $1) < 0 ? -1 : 0 }
    }

    var localPort: UInt16 {
        var address = sockaddr_in6()
        var size = socklen_t(MemoryLayout<sockaddr_in6>.size)
        _ = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor.number, $0, &size) }
        }
        // The port is at the same place in both families.
        return UInt16(bigEndian: address.sin6_port)
    }

    private func call(
        _ endpoint: IPEndpoint, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) throws {
        let result: Int32
        if endpoint.address.family == .ipv4 {
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = endpoint.port.bigEndian
            withUnsafeMutableBytes(of: &address.sin_addr) { $0.copyBytes(from: endpoint.address.bytes) }
            result = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
        } else {
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            address.sin6_port = endpoint.port.bigEndian
            withUnsafeMutableBytes(of: &address.sin6_addr) { $0.copyBytes(from: endpoint.address.bytes) }
            result = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    body($0, socklen_t(MemoryLayout<sockaddr_in6>.size))
                }
            }
        }
        guard result == 0 else { throw Failure(errno: errno) }
    }
}
