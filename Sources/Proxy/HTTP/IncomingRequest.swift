import NIOHTTP1

/// A request's head, checked: what routing looks at and what goes upstream.
struct IncomingRequest: RoutableRequest {
    enum Framing: Equatable {
        case none
        case length(String)
        case chunked
    }

    let method: String
    /// `https` where the proxy terminates TLS.
    var scheme = "http"
    let authority: String
    let path: String
    let headers: HTTPHeaders
    let framing: Framing
    let isKeepAlive: Bool
    let isHead: Bool
    let version: HTTPVersion

    /// Whether a body follows the head.
    static func announcesBody(_ head: HTTPRequestHead) -> Bool {
        if head.headers.contains(name: "transfer-encoding") { return true }
        guard let length = head.headers.first(name: "content-length") else { return false }
        return length != "0"
    }

    /// Throws the reply to a head that can't be passed on safely.
    ///
    /// NIO's decoder already refuses what contradicts the grammar (RFC 9112); these are the rules beyond it.
    init(_ head: HTTPRequestHead, acceptsHTTP10: Bool) throws(LocalReply) {
        if head.version.isBefore11, !acceptsHTTP10 { throw .lowVersion }
        version = head.version
        method = head.method.rawValue
        headers = head.headers
        isKeepAlive = head.isKeepAlive
        isHead = head.method == .HEAD
        framing = try Self.framing(of: head)
        let hosts = head.headers["host"]
        if hosts.count > 1 { throw .badRequest(details: "http1.multiple_hosts") }
        if head.method == .CONNECT { throw .connectRefused }
        if let target = Self.absoluteForm(head.uri) {
            // RFC 9112, 3.2.2: the target wins over the Host header.
            (authority, path) = target
        } else {
            guard let host = hosts.first, !host.isEmpty else {
                if head.version.isBefore11 {
                    (authority, path) = ("", head.uri)
                    return
                }
                throw .missingHost
            }
            (authority, path) = (host, head.uri)
        }
        guard authority.utf8.allSatisfy(Self.isAuthorityByte) else { throw .invalidAuthority }
        guard path.utf8.first == UInt8(ascii: "/") || (path == "*" && head.method == .OPTIONS) else {
            throw .badRequest(details: "http1.invalid_url")
        }
    }

    func header(_ name: String) -> String? {
        let values = headers[name]
        return values.isEmpty ? nil : values.count == 1 ? values[0] : values.joined(separator: ",")
    }

    private static func framing(of head: HTTPRequestHead) throws(LocalReply) -> Framing {
        let encodings = head.headers["transfer-encoding"]
        if encodings.isEmpty { return head.headers.first(name: "content-length").map(Framing.length) ?? .none }
        if head.headers.contains(name: "content-length") {
            throw .badRequest(details: "http1.content_length_and_chunked_not_allowed")
        }
        // HTTP/1.0 has no chunked encoding; what follows such a head can't be told apart from another request.
        guard encodings.count == 1, encodings[0].lowercased() == "chunked", !head.version.isBefore11 else {
            throw .invalidTransferEncoding
        }
        return .chunked
    }

    /// Authority and path of `http://host/path`; nil for other forms.
    private static func absoluteForm(_ uri: String) -> (String, String)? {
        guard uri.utf8.first != UInt8(ascii: "/") else { return nil }
        let scheme = ["http://", "https://"].first { uri.prefix($0.count).lowercased() == $0 }
        guard let scheme else { return nil }
        let rest = uri.dropFirst(scheme.count)
        let end = rest.firstIndex { $0 == "/" || $0 == "?" || $0 == "#" } ?? rest.endIndex
        let path = String(rest[end...])
        return (String(rest[..<end]), path.hasPrefix("/") ? path : "/" + path)
    }

    /// RFC 3986, 3.2, without userinfo: what else is there is refused, since servers read it differently.
    private static func isAuthorityByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "-._~!$&'()*+;=:[]%".utf8.contains(byte)
        }
    }
}

extension HTTPVersion {
    /// True for HTTP/1.0 and what else came before 1.1.
    var isBefore11: Bool { (major, minor) < (1, 1) }
}
