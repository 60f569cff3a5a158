import CLinux
import Glibc
package import NetworkAddresses
import Synchronization

/// Asks the kernel which socket of one namespace a TCP connection ends at (`man 7 sock_diag`).
package final class SocketDiagnostics: Sendable {
    /// A TCP socket, as the kernel knows it.
    package struct TCPSocket: Sendable, Hashable {
        /// The kernel's `TCP_ESTABLISHED`, `TCP_LISTEN`, ….
        package var state: UInt8
        /// The owner; a connection that nobody has accepted yet has none and shows 0.
        package var uid: UInt32
        /// Both ends are known to each other: three packets were exchanged, or the third is on its way.
        package var isConnected: Bool { state == UInt8(TCP_ESTABLISHED) || state == UInt8(TCP_SYN_RECV) }
        package var isListening: Bool { state == UInt8(TCP_LISTEN) }
    }

    private let socket: Mutex<NetlinkSocket>

    /// Opens a socket in the calling thread's network namespace, for good.
    package init() throws(KernelError) {
        socket = Mutex(try NetlinkSocket(bus: Int32(NETLINK_SOCK_DIAG), name: "sock_diag"))
    }

    /// The socket with exactly these ends, its own first; nil if there is none. An established connection is found
    /// before a listener, and a listener only with an unspecified peer.
    package func tcp(from local: IPEndpoint, to peer: IPEndpoint) throws(KernelError) -> TCPSocket? {
        let isIPv4 = local.address.family == .ipv4
        // struct inet_diag_req_v2 { __u8 family, protocol, ext, pad; __u32 states; struct inet_diag_sockid id; }
        var request = inet_diag_req_v2()
        request.sdiag_family = UInt8(isIPv4 ? AF_INET : AF_INET6)
        request.sdiag_protocol = UInt8(IPPROTO_TCP)
        request.idiag_states = UInt32.max
        request.id.idiag_sport = local.port.bigEndian
        request.id.idiag_dport = peer.port.bigEndian
        withUnsafeMutableBytes(of: &request.id.idiag_src) { $0.copyBytes(from: local.address.bytes) }
        withUnsafeMutableBytes(of: &request.id.idiag_dst) { $0.copyBytes(from: peer.address.bytes) }
        // Any cookie: INET_DIAG_NOCOOKIE in both halves.
        request.id.idiag_cookie = (UInt32.max, UInt32.max)
        return try socket.withLock { socket throws(KernelError) in
            try Self.ask(request, socket)
        }
    }

    private static func ask(_ request: inet_diag_req_v2, _ socket: NetlinkSocket) throws(KernelError) -> TCPSocket? {
        var builder = NetlinkMessageBuilder()
        builder.message(Int(SOCK_DIAG_BY_FAMILY), flags: 0, request)
        let sequence = socket.sequences(1)
        try socket.send(builder.numbered(from: sequence, acknowledging: false))
        var found: TCPSocket?
        let failure = try socket.answer(sequence) { payload in
            guard payload.count >= MemoryLayout<inet_diag_msg>.size else { return }
            let message = payload.loadUnaligned(as: inet_diag_msg.self)
            found = TCPSocket(state: message.idiag_state, uid: message.idiag_uid)
        }
        guard let failure, failure.errno != ENOENT else { return found }
        throw KernelError("find", "a TCP socket", errno: failure.errno, reason: failure.reason)
    }
}
