import Foundation
import NetworkAddresses
import TestSupport

/// The servers behind a proxy: each connection follows the script that is next.
final class RawServer: Sendable {
    private static let answer = Array("HTTP/1.1 200 OK\r\nServer: origin\r\nContent-Length: 5\r\n\r\nhello".utf8)

    private let state = RawServerState()

    init(_ listener: BlockingSocket) {
        Thread.detachNewThread { [state] in
            while let socket = Self.accept(listener) {
                guard let (transcript, steps) = state.next(socket) else {
                    socket.close()
                    continue
                }
                let index = transcript.addServer()
                Thread.detachNewThread {
                    var connection = Connection(socket: socket, transcript: transcript, index: index)
                    connection.follow(steps)
                    state.ended(socket)
                    socket.close()
                }
            }
        }
    }

    /// The next connection, however long that takes: the socket's own time limit is for conversations.
    private static func accept(_ listener: BlockingSocket) -> BlockingSocket? {
        while true {
            do {
                return try listener.accept()
            } catch let failure as BlockingSocket.Failure where [EAGAIN, EINTR].contains(failure.code) {
                continue
            } catch {
                return nil
            }
        }
    }

    /// Connections from now on belong to `transcript`.
    func begin(_ scripts: [[RawCase.Step]], _ transcript: RawTranscript) { state.begin(scripts, transcript) }

    /// Waits until the script of every connection has ended it.
    func waitUntilIdle(seconds: Double) { state.waitUntilIdle(seconds: seconds) }

    /// Ends the connections, and waits until their peers have noticed.
    func finish() { state.finish() }

    private struct Connection {
        let socket: BlockingSocket
        let transcript: RawTranscript
        let index: Int
        private var bytes: [UInt8] = []
        private var seen = 0
        private var isOver = false

        init(socket: BlockingSocket, transcript: RawTranscript, index: Int) {
            self.socket = socket
            self.transcript = transcript
            self.index = index
        }

        mutating func follow(_ steps: [RawCase.Step]) {
            for step in steps where !isOver { perform(step) }
            while !isOver { receive() }
        }

        private mutating func perform(_ step: RawCase.Step) {
            switch step {
            case .send(let part): send(part)
            case .until(let part): wait(for: part)
            case .pause(let milliseconds): Thread.sleep(forTimeInterval: Double(milliseconds) / 1000)
            case .finish: socket.finishSending()
            case .close:
                isOver = true
            case .reset:
                isOver = true
                socket.reset()
            case .answer:
                while !isOver {
                    waitForRequest()
                    if !isOver { send(RawServer.answer) }
                }
            case .quiet, .idle, .goOn: break
            }
        }

        private mutating func send(_ part: [UInt8]) {
            do { try socket.send(part) } catch { isOver = true }
        }

        private mutating func wait(for part: [UInt8]) {
            while !isOver {
                if let place = bytes.contains(part, from: seen) {
                    seen = place + part.count
                    return
                }
                receive()
            }
        }

        /// Until a request has come whole, so that each is answered once. A proxy's framing is plain.
        private mutating func waitForRequest() {
            let head = String(decoding: waitForText("\r\n\r\n"), as: UTF8.self).lowercased()
            if head.contains("\r\ntransfer-encoding: chunked\r\n") {
                while !isOver {
                    let line = String(decoding: waitForText("\r\n"), as: UTF8.self)
                    guard let size = Int(line.prefix(while: \.isHexDigit), radix: 16), size > 0 else { break }
                    wait(forCount: size + 2)
                }
                while !isOver, waitForText("\r\n").count > 2 {}
            } else if let length = head.firstMatch(of: /\r\ncontent-length: (\d+)\r\n/)?.output.1 {
                wait(forCount: Int(length) ?? 0)
            }
        }

        /// What comes up to and with `end`.
        private mutating func waitForText(_ end: String) -> ArraySlice<UInt8> {
            let start = seen
            wait(for: Array(end.utf8))
            return bytes[start..<seen]
        }

        private mutating func wait(forCount count: Int) {
            while !isOver, bytes.count < seen + count { receive() }
            seen = min(seen + count, bytes.count)
        }

        private mutating func receive() {
            do {
                let part = try socket.receive()
                bytes += part
                if part.isEmpty {
                    isOver = true
                    transcript.end(.closed, of: index)
                } else {
                    transcript.add(part, to: index)
                }
            } catch let failure as BlockingSocket.Failure where failure.code == EAGAIN {
                // The socket's own time limit; a conversation may take longer.
            } catch {
                isOver = true
                transcript.end(.reset, of: index)
            }
        }
    }
}

/// The connections of a `RawServer`, from any thread.
private final class RawServerState: @unchecked Sendable {
    private let condition = NSCondition()
    private var scripts: [[RawCase.Step]] = []
    private var transcript: RawTranscript?
    private var used = 0
    private var open: [BlockingSocket] = []

    func begin(_ scripts: [[RawCase.Step]], _ transcript: RawTranscript) {
        condition.withLock {
            self.scripts = scripts.isEmpty ? [[.answer]] : scripts
            self.transcript = transcript
            used = 0
        }
    }

    func next(_ socket: BlockingSocket) -> (RawTranscript, [RawCase.Step])? {
        condition.withLock {
            guard let transcript else { return nil }
            defer { used += 1 }
            open.append(socket)
            return (transcript, scripts[min(used, scripts.count - 1)])
        }
    }

    func ended(_ socket: BlockingSocket) {
        condition.withLock {
            open.removeAll { $0 === socket }
            condition.broadcast()
        }
    }

    func waitUntilIdle(seconds: Double) {
        let end = Date().addingTimeInterval(seconds)
        condition.withLock { while used == 0 || !open.isEmpty, condition.wait(until: end) {} }
    }

    func finish() {
        let end = Date().addingTimeInterval(2)
        condition.withLock {
            transcript = nil
            for socket in open { socket.finishSending() }
            while !open.isEmpty, condition.wait(until: end) {}
        }
    }
}
