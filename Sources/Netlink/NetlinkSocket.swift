package import CLinux
import CMnl
import Glibc

/// A netlink socket of the namespace in which it was opened; sends batches and reads their answers.
///
/// Not safe for use by two threads at once: the connections that own one hold a lock.
package final class NetlinkSocket: @unchecked Sendable {
    /// An answer to one message of a batch.
    package struct Failure: Sendable {
        package let sequence: UInt32
        package let errno: Int32
        /// The kernel's words (`NLMSGERR_ATTR_MSG`).
        package let reason: String?
    }

    package let fileDescriptor: Int32
    private let socket: OpaquePointer
    private let name: String
    private var buffer: UnsafeMutableRawBufferPointer
    private var nextSequence: UInt32 = 1
    /// True if `EGRESS_LAB_NETLINK_DEBUG` is set: every message is then printed to standard error.
    package static let prints = getenv("EGRESS_LAB_NETLINK_DEBUG") != nil

    /// Opens and binds a socket of netlink family `bus`, called `name` in errors.
    package init(bus: Int32, name: String, groups: UInt32 = 0) throws(KernelError) {
        guard let socket = mnl_socket_open2(bus, Int32(SOCK_CLOEXEC.rawValue)) else {
            throw KernelError("open", "a netlink socket (\(name))", errno: Glibc.errno)
        }
        self.socket = socket
        self.name = name
        fileDescriptor = mnl_socket_get_fd(socket)
        buffer = .allocate(byteCount: 1 << 16, alignment: 8)
        guard mnl_socket_bind(socket, groups, 0) == 0 else {
            throw KernelError("bind", "a netlink socket (\(name))", errno: Glibc.errno)
        }
        set(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        set(SOL_NETLINK, NETLINK_CAP_ACK, 1)
        // FORCE needs root; the plain option is what is left in a user namespace, up to the host's limit.
        if !set(SOL_SOCKET, SO_SNDBUFFORCE, 8 << 20) { set(SOL_SOCKET, SO_SNDBUF, 8 << 20) }
        if !set(SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20) { set(SOL_SOCKET, SO_RCVBUF, 8 << 20) }
        // A lost answer must be an error, never a hang.
        var timeout = timeval(tv_sec: 5, tv_usec: 0)
        setsockopt(fileDescriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit {
        mnl_socket_close(socket)
        buffer.deallocate()
    }

    /// Sets an integer option; false if refused.
    @discardableResult
    package func set(_ level: Int32, _ option: Int32, _ value: Int32) -> Bool {
        var value = value
        return setsockopt(fileDescriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size)) == 0
    }

    /// Reserves `count` consecutive sequence numbers and returns the first.
    package func sequences(_ count: Int) -> UInt32 {
        defer { nextSequence = nextSequence &+ UInt32(truncatingIfNeeded: count) }
        return nextSequence
    }

    /// Sends `bytes` as one datagram.
    package func send(_ bytes: UnsafeRawBufferPointer) throws(KernelError) {
        if Self.prints { NetlinkDebug.print(bytes, name, "->") }
        guard mnl_socket_sendto(socket, bytes.baseAddress, bytes.count) == bytes.count else {
            throw KernelError("send", "\(bytes.count) bytes to \(name)", errno: errno)
        }
    }

    /// Collects the failures of a batch whose last message asked for an acknowledgement.
    ///
    /// Both rtnetlink and nfnetlink work within `send`, so all answers are there. A rejected nfnetlink batch has no
    /// final acknowledgement: after the first failure, what is readable is drained and no more is waited for.
    package func failures(upTo last: UInt32) throws(KernelError) -> [Failure] {
        var failures: [Failure] = []
        var isAcknowledged = false
        while true {
            let wait: Int32 = failures.isEmpty && !isAcknowledged ? 0 : Int32(MSG_DONTWAIT)
            let count = recv(fileDescriptor, buffer.baseAddress, buffer.count, wait)
            if count < 0 {
                if errno == EINTR { continue }
                if wait != 0, errno == EAGAIN { return failures }
                throw KernelError("read", "the answer of \(name)", errno: errno)
            }
            forEachMessage(count) { header, payload in
                guard header.nlmsg_type == UInt16(NLMSG_ERROR) else { return }
                guard let failure = Self.failure(header, payload) else {
                    if header.nlmsg_seq == last { isAcknowledged = true }
                    return
                }
                failures.append(failure)
            }
        }
    }

    /// Sends `bytes` as one datagram.
    package func send(_ bytes: [UInt8]) throws(KernelError) {
        let outcome: Result<Void, KernelError> = bytes.withUnsafeBytes { buffer in
            do throws(KernelError) {
                return .success(try send(buffer))
            } catch {
                return .failure(error)
            }
        }
        try outcome.get()
    }

    /// Asks for a dump and hands each message of it to `body`; events that come in between too, if `includingEvents`.
    package func dump(
        _ request: [UInt8], sequence: UInt32, includingEvents: Bool = false,
        _ body: (nlmsghdr, UnsafeRawBufferPointer) -> Void
    ) throws(KernelError) {
        try send(request)
        while true {
            let count = recv(fileDescriptor, buffer.baseAddress, buffer.count, 0)
            if count < 0 {
                if errno == EINTR { continue }
                throw KernelError("read", "a dump of \(name)", errno: errno)
            }
            var isDone = false
            var failed: Failure?
            forEachMessage(count) { header, payload in
                guard header.nlmsg_seq == sequence else {
                    if includingEvents { body(header, payload) }
                    return
                }
                switch Int32(header.nlmsg_type) {
                case NLMSG_DONE: isDone = true
                case NLMSG_ERROR: failed = Self.failure(header, payload)
                default: body(header, payload)
                }
            }
            if let failed { throw KernelError("dump", name, errno: failed.errno, reason: failed.reason) }
            if isDone { return }
        }
    }

    /// Waits for the one message that answers request `sequence` and hands it to `body`, or returns the refusal.
    package func answer(
        _ sequence: UInt32, _ body: (UnsafeRawBufferPointer) -> Void
    ) throws(KernelError) -> Failure? {
        while true {
            let count = recv(fileDescriptor, buffer.baseAddress, buffer.count, 0)
            if count < 0 {
                if errno == EINTR { continue }
                throw KernelError("read", "the answer of \(name)", errno: errno)
            }
            var isAnswered = false
            var failure: Failure?
            forEachMessage(count) { header, payload in
                // What is left of an earlier question that was given up.
                guard header.nlmsg_seq == sequence else { return }
                isAnswered = true
                if Int32(header.nlmsg_type) == NLMSG_ERROR {
                    failure = Self.failure(header, payload)
                } else {
                    body(payload)
                }
            }
            if isAnswered { return failure }
        }
    }

    /// Reads what has arrived, without waiting. Returns false when nothing was there.
    package func receiveOnce(_ body: (nlmsghdr, UnsafeRawBufferPointer) -> Void) throws(KernelError) -> Bool {
        while true {
            let count = recv(fileDescriptor, buffer.baseAddress, buffer.count, Int32(MSG_DONTWAIT))
            if count < 0 {
                if errno == EINTR { continue }
                if errno == EAGAIN { return false }
                throw KernelError("read", "the messages of \(name)", errno: errno)
            }
            forEachMessage(count, body)
            return true
        }
    }

    private func forEachMessage(_ count: Int, _ body: (nlmsghdr, UnsafeRawBufferPointer) -> Void) {
        let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count])
        if Self.prints { NetlinkDebug.print(bytes, name, "<-") }
        NetlinkAttributes.forEachMessage(bytes, body)
    }

    /// `struct nlmsgerr { int error; struct nlmsghdr msg; }`, then, as we ask for capped answers, the attributes.
    private static func failure(_ header: nlmsghdr, _ payload: UnsafeRawBufferPointer) -> Failure? {
        guard payload.count >= MemoryLayout<nlmsgerr>.size else { return nil }
        let error = payload.loadUnaligned(as: Int32.self)
        guard error != 0 else { return nil }
        var reason: String?
        if header.nlmsg_flags & UInt16(NLM_F_ACK_TLVS) != 0 {
            var offset = MemoryLayout<nlmsgerr>.size
            if header.nlmsg_flags & UInt16(NLM_F_CAPPED) == 0 {
                let request = payload.loadUnaligned(fromByteOffset: 4, as: nlmsghdr.self)
                offset += (Int(request.nlmsg_len) - MemoryLayout<nlmsghdr>.size + 3) & ~3
            }
            if offset <= payload.count {
                NetlinkAttributes.forEach(UnsafeRawBufferPointer(rebasing: payload[offset...])) { type, value in
                    if type == UInt16(NLMSGERR_ATTR_MSG.rawValue) { reason = NetlinkAttributes.string(value) }
                }
            }
        }
        return Failure(sequence: header.nlmsg_seq, errno: -error, reason: reason)
    }
}
