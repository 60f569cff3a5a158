import Glibc
package import NetworkAddresses

/// A TCP socket with blocking calls and a time limit, so that tests can say exactly what goes over the wire.
package final class BlockingSocket: @unchecked Sendable {
    package struct Failure: Error {
        package let call: String
        package let code: Int32
    }

    package private(set) var descriptor: CInt

    package init(adopting descriptor: CInt, timeoutSeconds: Int = 8) {
        self.descriptor = descriptor
        var limit = timeval(tv_sec: timeoutSeconds, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var one: CInt = 1
        setsockopt(descriptor, CInt(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<CInt>.size))
    }

    deinit { close() }

    package static func connect(to endpoint: IPEndpoint, receiveBuffer: CInt? = nil) throws -> BlockingSocket {
        let descriptor = try make(endpoint.address.family)
        if var size = receiveBuffer {
            setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<CInt>.size))
        }
        let socket = BlockingSocket(adopting: descriptor)
        guard withAddress(endpoint, { Glibc.connect(descriptor, $0, $1) }) == 0 else {
            throw Failure(call: "connect", code: errno)
        }
        return socket
    }

    package static func listen(at endpoint: IPEndpoint, backlog: CInt = 64) throws -> BlockingSocket {
        let descriptor = try make(endpoint.address.family)
        let socket = BlockingSocket(adopting: descriptor)
        guard withAddress(endpoint, { Glibc.bind(descriptor, $0, $1) }) == 0 else {
            throw Failure(call: "bind", code: errno)
        }
        guard Glibc.listen(descriptor, backlog) == 0 else { throw Failure(call: "listen", code: errno) }
        return socket
    }

    package func accept() throws -> BlockingSocket {
        let accepted = Glibc.accept(descriptor, nil, nil)
        guard accepted >= 0 else { throw Failure(call: "accept", code: errno) }
        return BlockingSocket(adopting: accepted)
    }

    package func send(_ text: String) throws { try send(Array(text.utf8)) }

    package func send(_ bytes: [UInt8]) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL)) }
            guard count > 0 else { throw Failure(call: "send", code: errno) }
            rest = rest.dropFirst(count)
        }
    }

    /// At most `limit` bytes; empty at the end of input.
    package func receive(_ limit: Int = 65_536) throws -> [UInt8] {
        try Array(unsafeUninitializedCapacity: limit) { buffer, count in
            let received = recv(descriptor, buffer.baseAddress, limit, 0)
            guard received >= 0 else { throw Failure(call: "recv", code: errno) }
            count = received
        }
    }

    /// All bytes until the end of input.
    package func receiveAll() throws -> [UInt8] {
        var result: [UInt8] = []
        while true {
            let part = try receive()
            if part.isEmpty { return result }
            result += part
        }
    }

    /// True when the connection ends, by FIN or reset, before any byte comes.
    package var receivesNothing: Bool { ((try? receiveAll()) ?? []).isEmpty }

    package func receiveText(until end: String) throws -> String {
        var result: [UInt8] = []
        let mark = Array(end.utf8)
        while result.count < mark.count || !result.suffix(mark.count).elementsEqual(mark) {
            let part = try receive(1)
            if part.isEmpty { break }
            result += part
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// A message head and, with Content-Length, its body.
    package func receiveMessage() throws -> (head: String, body: String) {
        let head = try receiveText(until: "\r\n\r\n")
        var rest = head.header("content-length").flatMap { Int($0) } ?? 0
        var body: [UInt8] = []
        while rest > 0 {
            let part = try receive(rest)
            if part.isEmpty { break }
            body += part
            rest -= part.count
        }
        return (head, String(decoding: body, as: UTF8.self))
    }

    /// Starts to connect and does not wait for the outcome.
    package static func beginConnecting(to endpoint: IPEndpoint) throws -> BlockingSocket {
        let descriptor = try make(endpoint.address.family)
        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
        _ = withAddress(endpoint) { Glibc.connect(descriptor, $0, $1) }
        return BlockingSocket(adopting: descriptor)
    }

    package func setSendTimeout(milliseconds: Int) {
        var limit = timeval(tv_sec: milliseconds / 1000, tv_usec: milliseconds % 1000 * 1000)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    package func finishSending() { shutdown(descriptor, CInt(SHUT_WR)) }

    package func close() {
        if descriptor >= 0 { Glibc.close(descriptor) }
        descriptor = -1
    }

    package func reset() {
        resetOnClose()
        close()
    }

    /// Has another thread that is receiving find the end, and its close send a reset.
    package func resetFromElsewhere() {
        resetOnClose()
        shutdown(descriptor, CInt(SHUT_RD))
    }

    private func resetOnClose() {
        var value = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &value, socklen_t(MemoryLayout<linger>.size))
    }

    package var local: IPEndpoint {
        var storage = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        _ = withUnsafeMutablePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &size) }
        }
        return withUnsafeBytes(of: storage) { bytes in
            let range = bytes.load(as: UInt16.self) == UInt16(AF_INET) ? 4..<8 : 8..<24
            let address = IPAddress(bytes: bytes[range]) ?? .anyIPv4
            return IPEndpoint(address, UInt16(bytes[2]) << 8 | UInt16(bytes[3]))
        }
    }

    private static func make(_ family: IPFamily) throws -> CInt {
        let descriptor = socket(family == .ipv4 ? AF_INET : AF_INET6, CInt(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw Failure(call: "socket", code: errno) }
        return descriptor
    }

    private static func withAddress(
        _ endpoint: IPEndpoint, _ body: (UnsafePointer<sockaddr>, socklen_t) -> CInt
    ) -> CInt {
        var bytes = [UInt8](repeating: 0, count: endpoint.address.family == .ipv4 ? 16 : 28)
        let family = UInt16(endpoint.address.family == .ipv4 ? AF_INET : AF_INET6)
        bytes[0] = UInt8(family & 0xff)
        bytes[1] = UInt8(family >> 8)
        bytes[2] = UInt8(endpoint.port >> 8)
        bytes[3] = UInt8(endpoint.port & 0xff)
        let start = endpoint.address.family == .ipv4 ? 4 : 8
        bytes.replaceSubrange(start..<(start + endpoint.address.bytes.count), with: endpoint.address.bytes)
        return bytes.withUnsafeBytes { raw in
            guard let base = raw.baseAddress else { return -1 }
            return body(base.assumingMemoryBound(to: sockaddr.self), socklen_t(raw.count))
        }
    }
}

extension String {
    /// The value of a header in a message head.
    package func header(_ name: String) -> String? {
        for line in split(separator: "\r\n") {
            let parts = line.split(separator: ":", maxSplits: 1)
            if parts.count == 2, parts[0].lowercased() == name {
                return String(parts[1].drop { $0 == " " })
            }
        }
        return nil
    }
}
