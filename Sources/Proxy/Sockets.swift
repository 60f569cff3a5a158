import Glibc
import NIOCore
import NetworkAddresses
import ProxyModel

/// The socket calls that NIO has no interface for.
enum Sockets {
    /// How many connections may wait to be accepted.
    static let backlog: CInt = 4096

    /// A listening socket, made synchronously so that namespace and owner are the caller's.
    static func listen(at address: IPEndpoint, for listener: String) throws -> CInt {
        func fail(_ call: String) -> ProxyStartError {
            let code = errno
            return ProxyStartError(
                listener: listener, address: address, call: call, errno: code, reason: String(cString: strerror(code)))
        }
        let isV6 = address.address.family == .ipv6
        let type = CInt(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = socket(isV6 ? AF_INET6 : AF_INET, type, 0)
        guard descriptor >= 0 else { throw fail("socket") }
        var one: CInt = 1
        let size = socklen_t(MemoryLayout<CInt>.size)
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, size)
        // 0.0.0.0 and [::] are bound side by side.
        if isV6 { setsockopt(descriptor, CInt(IPPROTO_IPV6), IPV6_V6ONLY, &one, size) }
        do {
            let socketAddress = try SocketAddress(address)
            guard socketAddress.withSockAddr({ bind(descriptor, $0, socklen_t($1)) }) == 0 else { throw fail("bind") }
            guard Glibc.listen(descriptor, backlog) == 0 else { throw fail("listen") }
        } catch {
            close(descriptor)
            throw error
        }
        return descriptor
    }

    /// Where a redirected connection was going before redirection; nil when it was not redirected.
    ///
    /// The corresponding C call is `getsockopt` with `SO_ORIGINAL_DST` or `IP6T_SO_ORIGINAL_DST`.
    static func originalDestination(of descriptor: CInt, family: IPFamily) -> IPEndpoint? {
        let option: CInt = 80
        let level = CInt(family == .ipv4 ? IPPROTO_IP : IPPROTO_IPV6)
        var storage = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        guard getsockopt(descriptor, level, option, &storage, &size) == 0 else { return nil }
        return withUnsafeBytes(of: storage) { IPEndpoint(socketAddress: $0) }
    }

    /// Makes the next close send a reset instead of a FIN. Must be called on the channel's loop, where it is done at once.
    static func resetOnClose(_ channel: any Channel) {
        _ = (channel as? any SocketOptionProvider)?.setSoLinger(linger(l_onoff: 1, l_linger: 0))
    }

    /// Takes what the kernel holds of a connection's bytes and drops it.
    static func discardReceived(on channel: any Channel, atMost limit: Int) {
        _ = withDescriptor(of: channel) { descriptor in
            var rest = limit
            withUnsafeTemporaryAllocation(byteCount: 16_384, alignment: 1) { scratch in
                while rest > 0 {
                    let size = min(scratch.count, rest)
                    let count = recv(descriptor, scratch.baseAddress, size, CInt(MSG_DONTWAIT))
                    guard count > 0 else { return }
                    rest -= count
                }
            }
        }
    }

    /// Calls `body` with the channel's socket; nil when it has none any more.
    static func withDescriptor<T>(of channel: any Channel, _ body: (CInt) -> T?) -> T? {
        let operations = channel.pipeline.syncOperations
        let result = try? operations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) { body($0) }
        return result.flatMap { $0 }
    }

    /// The text of an I/O error as Envoy prints it, with underscores: `Connection_refused`.
    static func reason(_ error: any Error) -> String {
        guard let error = error as? IOError else { return "\(type(of: error))" }
        return String(cString: strerror(error.errnoCode)).replacingBlanks()
    }
}

extension String {
    /// With underscores for blanks, as Envoy writes reasons in access logs.
    func replacingBlanks() -> String { String(map { $0 == " " ? "_" : $0 }) }
}
