/// A question to a proxy's administration interface, as HTTP brings it.
package struct AdminRequest: Sendable, Equatable {
    package var method: String
    /// As the client wrote it, with its query.
    package var target: String
    package var path: String
    /// What stands behind the `?`, decoded; what has no value is empty.
    package var query: [String: String]

    /// The question that `method` and `target` ask.
    package init(method: String = "GET", target: String) {
        self.method = method
        self.target = target
        let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        path = String(parts[0])
        query = [:]
        for item in parts.dropFirst().first?.split(separator: "&") ?? [] {
            let pair = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            query[Self.decoded(pair[0])] = pair.count > 1 ? Self.decoded(pair[1]) : ""
        }
    }

    /// The target in characters that every server takes: clients like curl send others as they were typed.
    package var encodedTarget: String {
        target.utf8.map { byte in
            if byte > 0x20, byte < 0x7F, !Self.unsafe.contains(byte) { return String(UnicodeScalar(byte)) }
            return "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
        }.joined()
    }

    private static let unsafe = Set("\"<>\\^`{|}()[]".utf8)

    /// RFC 3986, 2.1; a `+` stands for itself, because regular expressions have it.
    private static func decoded(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), let value = UInt8(String(rest.prefix(2)) ?? "", radix: 16), rest.count > 1 {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// An answer of a proxy's administration interface.
package struct AdminAnswer: Sendable, Equatable {
    package var status: Int
    package var type: String
    package var body: String

    package init(status: Int = 200, type: String = "text/plain; charset=UTF-8", _ body: String) {
        (self.status, self.type, self.body) = (status, type, body)
    }

    /// A page in JSON.
    package static func json(_ body: String) -> AdminAnswer { AdminAnswer(type: "application/json", body + "\n") }

    /// What a path answers that changes something and was not asked by POST.
    package static func postRequired(_ method: String) -> AdminAnswer {
        AdminAnswer(status: 405, "Method \(method) not allowed, POST required.")
    }
}
