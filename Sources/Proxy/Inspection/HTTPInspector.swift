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
    private static let methods: [[UInt8]] = [
        "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "ACL", "BIND", "CHECKOUT",
        "COPY", "LINK", "LOCK", "M-SEARCH", "MERGE", "MKACTIVITY", "MKCALENDAR", "MKCOL", "MOVE", "NOTIFY",
        "PROPFIND", "PROPPATCH", "PURGE", "REBIND", "REPORT", "SEARCH", "SOURCE", "SUBSCRIBE", "UNBIND", "UNLINK",
        "UNLOCK", "UNSUBSCRIBE",
    ].map { Array($0.utf8) }

    private var line: [UInt8] = []
    private var result = Result.needsMore
    private var hasMethod = false

    package init() {}

    /// Takes the next bytes; once the result is not `needsMore`, it stays.
    package mutating func feed(_ bytes: some Sequence<UInt8>) -> Result {
        for byte in bytes where result == .needsMore {
            // A CRLF before the request line is ignored, as HTTP parsers do (RFC 9112, 2.2).
            if line.isEmpty, byte == UInt8(ascii: "\r") || byte == UInt8(ascii: "\n") { continue }
            line.append(byte)
            check(byte)
        }
        return result
    }

    private mutating func check(_ byte: UInt8) {
        if line.count <= Self.preface.count, Self.preface.starts(with: line) {
            if line.count == Self.preface.count { result = .http("h2c") }
            return
        }
        if !hasMethod {
            if byte == UInt8(ascii: " ") {
                hasMethod = Self.methods.contains { $0.elementsEqual(line.dropLast()) }
                if !hasMethod { result = .notHTTP }
            } else if !Self.methods.contains(where: { $0.starts(with: line) }) {
                result = .notHTTP
            }
        } else if byte == UInt8(ascii: "\n") {
            result = Self.version(ofRequestLine: line)
        } else if line.count > Self.limit {
            result = .notHTTP
        }
    }

    private static func version(ofRequestLine line: [UInt8]) -> Result {
        var text = line.dropLast()
        if text.last == UInt8(ascii: "\r") { text = text.dropLast() }
        let words = text.split(separator: UInt8(ascii: " "))
        guard words.count == 3 else { return .notHTTP }
        return switch String(decoding: words[2], as: UTF8.self) {
        case "HTTP/1.1": .http("http/1.1")
        case "HTTP/1.0": .http("http/1.0")
        default: .notHTTP
        }
    }
}
