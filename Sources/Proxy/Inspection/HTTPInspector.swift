/// Recognises HTTP in a connection's first bytes (Envoy: `http_inspector`).
package struct HTTPInspector: Sendable {
    package enum Result: Equatable, Sendable {
        case needsMore
        case notHTTP
        /// `http/1.0`, `http/1.1` or `h2c`.
        case http(String)
    }

    /// A request line longer than this is not HTTP.
    static let limit = 65_536
    private static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

    private var line: [UInt8] = []
    private var result = Result.needsMore

    package init() {}

    /// Takes the next bytes; once the result is not `needsMore`, it stays.
    package mutating func feed(_ bytes: some Sequence<UInt8>) -> Result {
        for byte in bytes where result == .needsMore {
            line.append(byte)
            check(byte)
        }
        return result
    }

    private mutating func check(_ byte: UInt8) {
        if line.count <= Self.preface.count, Self.preface.starts(with: line) {
            if line.count == Self.preface.count { result = .http("h2c") }
        } else if line.count == 1, !HTTP1HeadParser.isToken(byte), byte != 13, byte != 10 {
            result = .notHTTP
        } else if byte == 10 || line.count <= Self.preface.count, let end = line.firstIndex(of: 10) {
            result = version(of: line[...end]).map(Result.http) ?? .notHTTP
        } else if byte == 13 {
            // A line that can't begin a request is known by then; one that can is so when it is complete.
            if version(of: line[...]) == nil { result = .notHTTP }
        } else if line.count > Self.limit {
            result = .notHTTP
        }
    }

    private func version(of line: ArraySlice<UInt8>) -> String? {
        line.withUnsafeBytes(HTTP1HeadParser.version(ofRequestLine:))
    }
}
