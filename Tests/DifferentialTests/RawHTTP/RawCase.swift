import Foundation

/// A conversation, byte for byte: what a client and the servers behind the proxy do, and what Envoy made of it.
///
/// Read from blocks of `Cases/*.txt`:
///
///     == early-answer plain           the case's name, and the listener that the client dials
///     C> POST / HTTP/1.1\r\n          lines that the client sends, one write each up to the next step
///     C. quiet                        `quiet`, `idle`, `until BYTES`, `pause MS`, `finish`, `reset`, `go on`
///     S1. until \r\n\r\n              the script of the first upstream connection; the last script serves all others,
///     S1> HTTP/1.1 200 OK\r\n         too; without any script every request is answered
///     --
///     C< HTTP/1.1 200 OK\r\n          what the client got,
///     C: open                         and whether its connection is open, closed, or told to be over
///     S1< POST / HTTP/1.1\r\n         what the first upstream connection got
///     S1: open
///     log 200 - via_upstream …        a line for each record of the access log
struct RawCase: Sendable {
    enum Step: Sendable, Equatable {
        case send([UInt8])
        /// Until these bytes have come, counted from where the last such step ended.
        case until([UInt8])
        /// Until nothing has come for a while.
        case quiet
        /// Until the servers' scripts have ended all of their connections, and then quiet.
        case idle
        case pause(milliseconds: Int)
        case finish
        case close
        case reset
        /// Answer one request after the other.
        case answer
        /// Ends a write.
        case goOn
    }

    let name: String
    let listener: String
    let client: [Step]
    let servers: [[Step]]
    /// The block up to `--`.
    let input: String
    /// The lines behind `--`.
    let expected: [String]

    /// Reads the cases of `group`, in order.
    static func read(_ group: String) throws -> [RawCase] {
        let text = try String(contentsOf: file(group), encoding: .utf8)
        return text.components(separatedBy: "\n\n").compactMap(RawCase.init)
    }

    static func write(_ cases: [(case: RawCase, outcome: [String])], as group: String) throws {
        let blocks = cases.map { one in ([one.case.input, "--"] + one.outcome).joined(separator: "\n") }
        try Data((blocks.joined(separator: "\n\n") + "\n").utf8).write(to: file(group))
    }

    private static func file(_ group: String) -> URL {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "Cases/\(group).txt")
    }

    private init?(_ block: String) {
        let lines = block.split(separator: "\n").map(String.init)
        guard let title = lines.first?.split(separator: " "), title.count == 3 else { return nil }
        let end = lines.firstIndex(of: "--") ?? lines.count
        name = String(title[1])
        listener = String(title[2])
        input = lines[..<end].joined(separator: "\n")
        expected = Array(lines[end...].dropFirst())
        var scripts: [String: [Step]] = [:]
        for line in lines[1..<end] {
            let party = String(line.prefix { $0 != ">" && $0 != "." })
            let rest = line.dropFirst(party.count + 2)
            let isBytes = line.dropFirst(party.count).hasPrefix(">")
            guard let step = isBytes ? .send(RawBytes.bytes(rest)) : Self.step(rest) else { return nil }
            if case .send(let more) = step, case .send(let bytes)? = scripts[party]?.last {
                scripts[party]?.removeLast()
                scripts[party]?.append(.send(bytes + more))
            } else {
                scripts[party, default: []].append(step)
            }
        }
        client = scripts["C"] ?? []
        servers = (1...9).compactMap { scripts["S\($0)"] }
    }

    private static func step(_ text: Substring) -> Step? {
        let words = text.split(separator: " ", maxSplits: 1)
        switch words.first {
        case "until": return .until(RawBytes.bytes(words.count > 1 ? words[1] : ""))
        case "quiet": return .quiet
        case "idle": return .idle
        case "pause": return words.count > 1 ? Int(words[1]).map { .pause(milliseconds: $0) } : nil
        case "finish": return .finish
        case "close": return .close
        case "reset": return .reset
        case "answer": return .answer
        case "go": return .goOn
        default: return nil
        }
    }
}
