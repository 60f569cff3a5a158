package import Glibc
package import NIOCore
package import NetworkAddresses
package import Proxy

/// A socket call that the kernel refused.
package struct SocketError: Error, Sendable, CustomStringConvertible {
    package var call: String
    package var endpoint: IPEndpoint?
    package var code: CInt

    package var description: String {
        "can't \(call)\(endpoint.map { " \($0)" } ?? ""): \(String(cString: strerror(code)))"
    }
}

extension SocketAddress {
    /// The NIO form of an endpoint.
    package init(at endpoint: IPEndpoint) throws {
        try self.init(packedIPAddress: ByteBuffer(bytes: endpoint.address.bytes), port: Int(endpoint.port))
    }

    /// The endpoint, IPv4-mapped addresses as IPv4; nil for other families.
    package var ipEndpoint: IPEndpoint? {
        withSockAddr { address, size in
            IPEndpoint(UnsafeRawBufferPointer(start: address, count: size))
        }
    }
}

extension IPEndpoint {
    /// struct sockaddr_in { sa_family_t; in_port_t; struct in_addr; } or
    /// struct sockaddr_in6 { sa_family_t; in_port_t; uint32_t flowinfo; struct in6_addr; … }, in network order.
    fileprivate init?(_ socketAddress: UnsafeRawBufferPointer) {
        guard socketAddress.count >= 16 else { return nil }
        let port = UInt16(bigEndian: socketAddress.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
        let bytes: UnsafeRawBufferPointer.SubSequence
        switch CInt(socketAddress.loadUnaligned(as: sa_family_t.self)) {
        case AF_INET: bytes = socketAddress[4..<8]
        case AF_INET6 where socketAddress.count >= 24: bytes = socketAddress[8..<24]
        default: return nil
        }
        guard let address = IPAddress(bytes: bytes) else { return nil }
        self.init(address.unmapped, port)
    }

    /// What a socket call wrote, IPv4-mapped addresses as IPv4; nil for other families.
    package init?(_ storage: sockaddr_storage) {
        guard let endpoint = withUnsafeBytes(of: storage, { IPEndpoint($0) }) else { return nil }
        self = endpoint
    }
}

/// Sockets made by hand, so that their namespace, owner and addresses are settled before any packet can leave.
package enum BoundSocket {
    /// A listening TCP socket; `[::]` takes IPv4 too if it is `dualStack`. The caller owns the descriptor.
    package static func listener(
        at endpoint: IPEndpoint, dualStack: Bool = true, in context: any NetworkContext
    ) throws -> CInt {
        let descriptor = try bound(SOCK_STREAM, 0, at: endpoint, dualStack: dualStack, in: context)
        guard listen(descriptor, 4096) == 0 else { throw failure("listen at", endpoint, closing: descriptor) }
        return descriptor
    }

    /// A UDP socket bound to `endpoint`; `[::]` doesn't take IPv4. The caller owns the descriptor.
    package static func datagram(at endpoint: IPEndpoint, in context: any NetworkContext) throws -> CInt {
        try bound(SOCK_DGRAM, 0, at: endpoint, dualStack: false, in: context)
    }

    /// A datagram or raw socket connected to `endpoint`: the kernel has chosen address and port, nothing was sent.
    package static func connected(
        _ type: __socket_type, protocol number: CInt = 0, to endpoint: IPEndpoint, from source: IPAddress? = nil,
        in context: any NetworkContext
    ) throws -> (descriptor: CInt, local: IPEndpoint) {
        let descriptor = try open(type, number, endpoint, in: context)
        do {
            if let source {
                let address = try SocketAddress(at: IPEndpoint(source, 0))
                guard address.withSockAddr({ bind(descriptor, $0, socklen_t($1)) }) == 0 else {
                    throw failure("bind", IPEndpoint(source, 0))
                }
            }
            // A raw socket takes no port.
            let address = try SocketAddress(at: type == SOCK_RAW ? IPEndpoint(endpoint.address, 0) : endpoint)
            guard address.withSockAddr({ connect(descriptor, $0, socklen_t($1)) }) == 0 else {
                throw failure("connect to", endpoint)
            }
            return (descriptor, try localEndpoint(of: descriptor))
        } catch {
            close(descriptor)
            throw error
        }
    }

    /// A raw socket for all packets of a protocol that come to a namespace. The caller owns the descriptor.
    package static func raw(
        _ number: IPProtocol, _ family: IPFamily, in context: any NetworkContext
    ) throws -> CInt {
        try open(SOCK_RAW, CInt(number.rawValue), IPEndpoint(family == .ipv4 ? .anyIPv4 : .anyIPv6, 0), in: context)
    }

    /// The address and port that a socket has.
    package static func localEndpoint(of descriptor: CInt) throws -> IPEndpoint {
        var storage = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let result = withUnsafeMutablePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &size) }
        }
        guard result == 0, let endpoint = IPEndpoint(storage) else {
            throw failure("getsockname", nil)
        }
        return endpoint
    }

    private static func open(
        _ type: __socket_type, _ number: CInt, _ endpoint: IPEndpoint, in context: any NetworkContext
    ) throws -> CInt {
        let flags = CInt(type.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let family = endpoint.address.family == .ipv6 ? AF_INET6 : AF_INET
        let (descriptor, code) = try context.enter { () -> (CInt, CInt) in
            let descriptor = socket(family, flags, number)
            return (descriptor, errno)
        }
        guard descriptor >= 0 else { throw SocketError(call: "open a socket for", endpoint: endpoint, code: code) }
        return descriptor
    }

    private static func bound(
        _ type: __socket_type, _ number: CInt, at endpoint: IPEndpoint, dualStack: Bool,
        in context: any NetworkContext
    ) throws -> CInt {
        let descriptor = try open(type, number, endpoint, in: context)
        var one: CInt = 1
        var v6Only: CInt = dualStack ? 0 : 1
        let size = socklen_t(MemoryLayout<CInt>.size)
        if type == SOCK_STREAM { setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, size) }
        if endpoint.address.family == .ipv6 {
            setsockopt(descriptor, CInt(IPPROTO_IPV6), IPV6_V6ONLY, &v6Only, size)
        }
        do {
            let address = try SocketAddress(at: endpoint)
            guard address.withSockAddr({ bind(descriptor, $0, socklen_t($1)) }) == 0 else {
                throw failure("bind", endpoint)
            }
            return descriptor
        } catch {
            close(descriptor)
            throw error
        }
    }

    private static func failure(
        _ call: String, _ endpoint: IPEndpoint?, closing descriptor: CInt? = nil
    ) -> SocketError {
        let error = SocketError(call: call, endpoint: endpoint, code: errno)
        if let descriptor { close(descriptor) }
        return error
    }
}
