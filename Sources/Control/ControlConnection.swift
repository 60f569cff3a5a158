import CLinux
import Foundation
import Glibc
package import Netlink
import Synchronization

/// One end of a connection between a command and a lab: messages as JSON behind their length, descriptors beside them.
///
/// Sending is whole messages from any thread; one thread receives.
package final class ControlConnection: Sendable {
    /// Manifests of a whole cluster fit.
    static let longestMessage = 256 << 20

    private let socket: FileDescriptor
    /// Held while a message is written.
    private let sending = Mutex(())

    package init(_ socket: FileDescriptor) { self.socket = socket }

    /// Connects to the socket at `path`.
    package static func connect(to path: String) throws(KernelError) -> ControlConnection {
        let socket = try UnixSocket.make()
        try UnixSocket.withAddress(path) { address, length throws(KernelError) in
            guard Glibc.connect(socket.number, address, length) == 0 else {
                throw KernelError("connect to", path, errno: errno)
            }
        }
        return ControlConnection(socket)
    }

    /// The user at the other end.
    package var peerUser: UInt32? {
        var user: uid_t = 0
        return clinux_peer_user(socket.number, &user) == 0 ? user : nil
    }

    /// Sends a message; `descriptors` go with its first byte.
    package func send(_ message: some Encodable, descriptors: [Int32] = []) throws {
        let body = try JSONEncoder().encode(message)
        var bytes = withUnsafeBytes(of: UInt32(body.count).bigEndian) { Data($0) }
        bytes.append(body)
        try sending.withLock { _ in try write(bytes, descriptors) }
    }

    private func write(_ bytes: Data, _ descriptors: [Int32]) throws(KernelError) {
        var offset = 0
        while offset < bytes.count {
            let attached = offset == 0 ? descriptors : []
            let count = bytes.withUnsafeBytes { buffer in
                clinux_send_descriptors(
                    socket.number, buffer.baseAddress?.advanced(by: offset), bytes.count - offset, attached,
                    attached.count)
            }
            guard count > 0 else { throw KernelError("write to", "the control socket", errno: errno) }
            offset += count
        }
    }

    /// The next message with its descriptors; nil when the other side has ended. It blocks the calling thread.
    package func receive<Message: Decodable>(
        _ type: Message.Type
    ) throws -> (message: Message, descriptors: [FileDescriptor])? {
        var descriptors: [FileDescriptor] = []
        guard let header = try read(MemoryLayout<UInt32>.size, &descriptors) else { return nil }
        let length = header.reduce(0) { $0 << 8 | Int($1) }
        guard length <= Self.longestMessage else {
            throw KernelError(
                .invalidRequest, "read from", "the control socket", reason: "a message of \(length) bytes")
        }
        guard let body = try read(length, &descriptors) else { return nil }
        return (try JSONDecoder().decode(type, from: body), descriptors)
    }

    private func read(_ length: Int, _ descriptors: inout [FileDescriptor]) throws(KernelError) -> Data? {
        var bytes = Data()
        var buffer = [UInt8](repeating: 0, count: min(length, 65536))
        var numbers = [Int32](repeating: -1, count: Int(CLINUX_MAX_DESCRIPTORS))
        while bytes.count < length {
            var count = 0
            let received = clinux_receive_descriptors(
                socket.number, &buffer, min(buffer.count, length - bytes.count), &numbers, &count)
            descriptors += numbers.prefix(count).map { FileDescriptor(owning: $0) }
            guard received >= 0 else { throw KernelError("read from", "the control socket", errno: errno) }
            if received == 0 { return nil }
            bytes.append(contentsOf: buffer.prefix(received))
        }
        return bytes
    }

    /// Ends both directions; a thread that receives gets nil.
    package func close() { shutdown(socket.number, Int32(SHUT_RDWR)) }
}

/// Sockets in the file system.
enum UnixSocket {
    static func make() throws(KernelError) -> FileDescriptor {
        let number = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard number >= 0 else { throw KernelError("make", "a socket", errno: errno) }
        return FileDescriptor(owning: number)
    }

    static func withAddress(
        _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) throws(KernelError) -> Void
    ) throws(KernelError) {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
            throw KernelError(.invalidRequest, "use", path, reason: "the path is too long for a socket")
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let result: Result<Void, KernelError> = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                do throws(KernelError) {
                    try body(generic, socklen_t(MemoryLayout<sockaddr_un>.size))
                    return .success(())
                } catch {
                    return .failure(error)
                }
            }
        }
        try result.get()
    }
}
