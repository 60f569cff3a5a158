/// Turns an HTTP/1 request head into what routing sees, with the checks of Envoy's server codec.
enum HTTP1RequestReading {
    /// A request as the codec passes it on.
    struct Result: Equatable {
        var head: HTTPRequestHead
        /// Whether the client wants to keep the connection.
        var keepsAlive: Bool
        /// `websocket`, … when the client asks to go on with another protocol; `h2c` is ignored, as Envoy does.
        var upgrade: String?
        var expectsContinue: Bool
    }

    static func read(_ raw: HTTP1Head, _ manager: RequestRules) throws(LocalReply) -> Result {
        let version: HTTPProtocol = raw.words[2] == "HTTP/1.1" ? .http11 : .http10
        if version == .http10, !manager.acceptsHTTP10 { throw .lowVersion }
        var fields = raw.fields
        fields.mergeSingletons()
        let connection = fields.tokens("connection")
        let isClosing = connection.contains("close") || fields.tokens("proxy-connection").contains("close")
        let keepsAlive =
            version == .http11
            ? !isClosing
            : !isClosing && (connection + fields.tokens("proxy-connection")).contains("keep-alive")
        var upgrade: String?
        if connection.contains("upgrade"), let asked = fields.first("upgrade") {
            if asked.lowercased() != "h2c" { upgrade = asked }
        }
        try sanitize(&fields, connection, upgrade: upgrade)
        var head = HTTPRequestHead(
            method: raw.words[0], path: raw.words[1], authority: fields.first("host"), scheme: nil,
            fields: fields, version: version)
        try resolveTarget(&head, manager)
        head.fields.remove("host")
        if let authority = head.authority, !authority.utf8.allSatisfy(Self.isAuthorityByte) {
            throw .invalidAuthority
        }
        let expectsContinue = head.fields.first("expect")?.lowercased() == "100-continue"
        if expectsContinue { head.fields.remove("expect") }
        return Result(head: head, keepsAlive: keepsAlive, upgrade: upgrade, expectsContinue: expectsContinue)
    }

    /// Envoy: `sanitizeConnectionHeader` and what its connection manager removes of hop-by-hop fields.
    private static func sanitize(
        _ fields: inout HTTPFields, _ connection: [String], upgrade: String?
    ) throws(LocalReply) {
        if connection.count > 10 { throw .badRequest(details: "http1.connection_header_rejected") }
        for name in connection {
            switch name {
            case "close", "keep-alive", "upgrade", "http2-settings": continue
            case "te":
                if !fields.tokens("te").contains(where: Self.asksForTrailers) { fields.remove("te") }
            case "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto":
                throw .badRequest(details: "http1.connection_header_rejected")
            case _ where name.hasPrefix(":"): throw .badRequest(details: "http1.connection_header_rejected")
            default: fields.remove(name)
            }
        }
        if upgrade == nil {
            fields.removeAll { $0 == "connection" || $0 == "upgrade" }
            fields.removeAll { $0 == "http2-settings" && connection.contains("upgrade") }
        }
        fields.removeAll { $0 == "keep-alive" || $0 == "proxy-connection" || $0 == "transfer-encoding" }
        if fields.contains("te") {
            if fields.tokens("te").contains(where: Self.asksForTrailers) {
                fields.set("te", "trailers")
            } else {
                fields.remove("te")
            }
        }
    }

    private static func asksForTrailers(_ coding: String) -> Bool {
        coding == "trailers"
    }

    /// RFC 9112, 3.2: the target's own authority wins over the Host field.
    private static func resolveTarget(_ head: inout HTTPRequestHead, _ manager: RequestRules) throws(LocalReply) {
        guard let target = head.path else { return }
        if head.method == "CONNECT" {
            head.path = nil
            guard isConnectAuthority(target) else { throw .badRequest(details: "http1.invalid_url") }
            head.authority = target
            return
        }
        if target.utf8.first == UInt8(ascii: "/") || (target == "*" && head.method == "OPTIONS") { return }
        guard let mark = target.range(of: "://") else { throw .badRequest(details: "http1.invalid_url") }
        let scheme = target[..<mark.lowerBound].lowercased()
        let rest = target[mark.upperBound...]
        let end = rest.firstIndex { $0 == "/" || $0 == "?" || $0 == "#" } ?? rest.endIndex
        var authority = rest[..<end]
        if let user = authority.lastIndex(of: "@") { authority = authority[authority.index(after: user)...] }
        guard !authority.isEmpty else { throw .badRequest(details: "http1.invalid_url") }
        guard scheme == "http" || scheme == "https" else { throw .badRequest(details: "http1.invalid_scheme") }
        if scheme == "https", manager.usesRemoteAddress { throw .httpsOnPlaintext }
        head.scheme = scheme
        head.authority = String(authority)
        head.path = rest[end...].isEmpty ? "/" : String(rest[end...])
    }

    private static func isConnectAuthority(_ text: String) -> Bool {
        guard let colon = text.lastIndex(of: ":") else { return false }
        return colon > text.startIndex && UInt16(text[text.index(after: colon)...]) != nil
    }

    /// Envoy: the characters of `authorityIsValid` (nghttp2's table).
    static func isAuthorityByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "!$%&'()*+,-.:;=@[]_~".utf8.contains(byte)
        }
    }
}

/// What of a connection manager decides how requests are read.
struct RequestRules {
    var acceptsHTTP10: Bool
    var usesRemoteAddress: Bool
}

extension String {
    /// Where `text` occurs first.
    fileprivate func range(of text: String) -> Range<String.Index>? { ranges(of: text).first }
}
