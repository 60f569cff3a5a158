import Foundation

/// What has been seen of a conversation so far, from any thread.
final class RawTranscript: @unchecked Sendable {
    enum End: String { case open, closed, reset }

    struct Party {
        var bytes: [UInt8] = []
        var end = End.open
    }

    private let condition = NSCondition()
    private var client = Party()
    private var servers: [Party] = []
    private var changes = 0

    // MARK: Writing

    func addServer() -> Int {
        condition.withLock {
            servers.append(Party())
            return servers.count - 1
        }
    }

    /// `server` is nil for the client.
    func add(_ bytes: [UInt8], to server: Int?) { change(server) { $0.bytes += bytes } }
    func end(_ end: End, of server: Int?) { change(server) { $0.end = end } }

    private func change(_ server: Int?, _ body: (inout Party) -> Void) {
        condition.withLock {
            if let server { body(&servers[server]) } else { body(&client) }
            changes += 1
            condition.broadcast()
        }
    }

    // MARK: Reading

    /// The lines that a case expects of the parties.
    var lines: [String] { condition.withLock { currentLines } }

    private var currentLines: [String] {
        var lines = RawBytes.lines(RawNormalization.normalized(client.bytes), prefix: "C< ")
        let isTold = client.bytes.contains(Array("connection: close".utf8), from: 0) != nil
        // When exactly it then closes is a matter of milliseconds; a reset may come instead.
        lines.append("C: \(isTold ? "told" : client.end == .open ? "open" : "closed")")
        for (index, server) in servers.enumerated() {
            lines += RawBytes.lines(RawNormalization.normalized(server.bytes), prefix: "S\(index + 1)< ")
            lines.append("S\(index + 1): \(server.end.rawValue)")
        }
        return lines
    }

    var clientBytes: [UInt8] { condition.withLock { client.bytes } }
    var clientEnded: Bool { condition.withLock { client.end != .open } }

    /// Whether the lines become `expected` within `seconds`.
    func becomes(_ expected: [String], seconds: Double) -> Bool {
        wait(seconds: seconds) { self.currentLines == expected }
    }

    /// Whether `part` comes from `start` on, and where it ends.
    func waitForClient(_ part: [UInt8], from start: Int, seconds: Double) -> Int? {
        var found: Int?
        _ = wait(seconds: seconds) {
            found = self.client.bytes.contains(part, from: start)
            return found != nil || self.client.end != .open
        }
        return found.map { $0 + part.count }
    }

    /// Until nobody has sent anything for `seconds`, or `limit` has passed.
    func waitForQuiet(seconds: Double, limit: Double = 4) {
        let last = Date().addingTimeInterval(limit)
        condition.withLock {
            var seen = -1
            while seen != changes, Date() < last {
                seen = changes
                let end = Date().addingTimeInterval(seconds)
                while seen == changes, condition.wait(until: end) {}
            }
        }
    }

    private func wait(seconds: Double, _ isDone: () -> Bool) -> Bool {
        let end = Date().addingTimeInterval(seconds)
        return condition.withLock {
            while !isDone() { if !condition.wait(until: end) { return isDone() } }
            return true
        }
    }
}

/// Takes out of messages what differs from one time to the next.
enum RawNormalization {
    static func normalized(_ bytes: [UInt8]) -> [UInt8] {
        bytes.split(after: 10).flatMap { line -> [UInt8] in
            let name = String(decoding: line.prefix(31), as: UTF8.self).lowercased()
            let end = line.lineEnd
            if name.hasPrefix("date: ") { return Array("date: NOW".utf8) + end }
            if name.hasPrefix("x-envoy-upstream-service-time: ") {
                return Array("x-envoy-upstream-service-time: MS".utf8) + end
            }
            let field = "x-request-id: "
            if name.hasPrefix(field), isUUID(line.dropFirst(field.utf8.count).dropLast(end.count)) {
                return Array("\(field)UUID".utf8) + end
            }
            return Array(line)
        }
    }

    static func isUUID(_ bytes: some Collection<UInt8>) -> Bool {
        UUID(uuidString: String(decoding: bytes, as: UTF8.self)) != nil
    }
}

extension ArraySlice<UInt8> {
    fileprivate var lineEnd: ArraySlice<UInt8> {
        var start = endIndex
        while start > startIndex, self[start - 1] == 13 || self[start - 1] == 10 { start -= 1 }
        return self[start...]
    }
}
