import Glibc
import NIOCore
import NetworkAddresses

extension SocketAddress {
    /// The NIO form of an endpoint.
    init(_ endpoint: IPEndpoint) throws {
        try self.init(packedIPAddress: ByteBuffer(bytes: endpoint.address.bytes), port: Int(endpoint.port))
    }

    /// The endpoint, IPv4-mapped addresses as IPv4; nil for other families.
    var endpoint: IPEndpoint? {
        withSockAddr { address, size in IPEndpoint(socketAddress: UnsafeRawBufferPointer(start: address, count: size)) }
    }
}

extension IPEndpoint {
    /// From the bytes of a `sockaddr_in` or `sockaddr_in6`: family (host order), port, then the IPv4 address, or flow
    /// information and the IPv6 address.
    init?(socketAddress bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= 16 else { return nil }
        let port = UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
        switch CInt(bytes.load(as: UInt16.self)) {
        case AF_INET:
            let address = UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
            self.init(IPAddress(ipv4: address), port)
        case AF_INET6 where bytes.count >= 24:
            guard let address = IPAddress(bytes: bytes[8..<24]) else { return nil }
            self.init(address.unmapped, port)
        default: return nil
        }
    }
}
