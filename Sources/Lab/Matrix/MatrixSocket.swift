import Glibc
import Netlink
import NetworkAddresses

/// Sockets of a matrix: thousands of them a second, made where the calling thread is, without an event loop.
enum MatrixSocket {
    /// A socket of the calling thread's namespace, bound to `local`, that never blocks; nil when the address or port is
    /// not to be had. The caller owns the descriptor. For SCTP it is a raw socket, which has no port: kernels need not
    /// have others.
    static func bound(_ transport: IPProtocol, at local: IPEndpoint, reusesAddress: Bool = false) -> CInt? {
        let family = local.address.family == .ipv4 ? AF_INET : AF_INET6
        let type = transport == .tcp ? SOCK_STREAM : transport == .sctp ? SOCK_RAW : SOCK_DGRAM
        let flags = CInt(type.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = socket(family, flags, type == SOCK_RAW ? CInt(transport.rawValue) : 0)
        guard descriptor >= 0 else { return nil }
        if reusesAddress {
            var one: CInt = 1
            setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<CInt>.size))
        }
        let name = type == SOCK_RAW ? IPEndpoint(local.address, 0) : local
        guard withSockAddr(name, { bind(descriptor, $0, $1) }) == 0 else {
            close(descriptor)
            return nil
        }
        return descriptor
    }

    /// What `connect` came to.
    enum Connecting { case underWay, failed(CInt) }

    /// Sends the first packet of a connection; of what has none, settles the destination.
    static func connect(_ descriptor: CInt, _ transport: IPProtocol, to remote: IPEndpoint) -> Connecting {
        let remote = transport == .sctp ? IPEndpoint(remote.address, 0) : remote
        guard withSockAddr(remote, { Glibc.connect(descriptor, $0, $1) }) != 0 else { return .underWay }
        return errno == EINPROGRESS ? .underWay : .failed(errno)
    }

    /// Sends a packet over a connected socket; false when the socket was refused.
    static func send(_ bytes: [UInt8], over descriptor: CInt) -> Bool {
        Glibc.send(descriptor, bytes, bytes.count, CInt(MSG_NOSIGNAL)) == bytes.count || errno == EAGAIN
    }

    /// The error that a socket has come to; 0 for none.
    static func error(of descriptor: CInt) -> CInt {
        var code: CInt = 0
        var size = socklen_t(MemoryLayout<CInt>.size)
        getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &size)
        return code
    }

    /// Closes at once, with a reset: nothing of the connection is left to wait for.
    static func abort(_ descriptor: CInt) {
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<Glibc.linger>.size))
        close(descriptor)
    }

    /// The peer of a connection that has come; nil when there is none. The connection is over then.
    static func acceptAndAbort(_ listener: CInt) -> IPEndpoint? {
        var storage = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let descriptor = withUnsafeMutablePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                accept(listener, $0, &size)
            }
        }
        guard descriptor >= 0 else { return nil }
        abort(descriptor)
        return endpoint(storage)
    }

    /// The sender of a datagram that has come; nil when there is none.
    static func receive(_ descriptor: CInt) -> IPEndpoint? {
        var storage = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        var byte: UInt8 = 0
        let count = withUnsafeMutablePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { recvfrom(descriptor, &byte, 1, 0, $0, &size) }
        }
        return count >= 0 ? endpoint(storage) : nil
    }

    /// What a raw socket got of SCTP; nil when there is nothing more. The ports are nil where it is no INIT.
    static func receiveInitiation(_ descriptor: CInt) -> (peer: IPAddress, ports: (from: UInt16, to: UInt16)?)? {
        var storage = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        var bytes = [UInt8](repeating: 0, count: 256)
        let count = withUnsafeMutablePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                recvfrom(descriptor, &bytes, bytes.count, 0, $0, &size)
            }
        }
        guard count >= 0, let peer = endpoint(storage)?.address else { return nil }
        let packet = SCTPPacket(SCTPPacket.payload(Array(bytes.prefix(count)), peer.family))
        guard let packet, packet.kind == .initiate else { return (peer, nil) }
        return (peer, (packet.sourcePort, packet.destinationPort))
    }

    private static func endpoint(_ storage: sockaddr_storage) -> IPEndpoint? {
        withUnsafeBytes(of: storage) { bytes in
            let port = UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
            let address = storage.ss_family == sa_family_t(AF_INET) ? bytes[4..<8] : bytes[8..<24]
            return IPAddress(bytes: address).map { IPEndpoint($0, port) }
        }
    }

    private static func withSockAddr(
        _ endpoint: IPEndpoint, _ body: (UnsafePointer<sockaddr>, socklen_t) -> CInt
    ) -> CInt {
        var storage = sockaddr_storage()
        let isIPv4 = endpoint.address.family == .ipv4
        withUnsafeMutableBytes(of: &storage) { bytes in
            bytes.storeBytes(of: sa_family_t(isIPv4 ? AF_INET : AF_INET6), as: sa_family_t.self)
            bytes.storeBytes(of: endpoint.port.bigEndian, toByteOffset: 2, as: UInt16.self)
            bytes[(isIPv4 ? 4 : 8)...].copyBytes(from: endpoint.address.bytes)
        }
        let size = isIPv4 ? MemoryLayout<sockaddr_in>.size : MemoryLayout<sockaddr_in6>.size
        return withUnsafePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(size)) }
        }
    }
}
