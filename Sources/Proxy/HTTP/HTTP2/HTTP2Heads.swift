import NIOHPACK

/// Turns header blocks of HTTP/2 into heads, and back.
enum HTTP2Heads {
    /// Fields that belong to a connection of HTTP/1 alone (RFC 9113, 8.2.2).
    private static let connectionFields: Set<String> = [
        "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "http2-settings", "host",
    ]

    /// What is too much of a request's head, in Envoy's words.
    static func excess(in block: HPACKHeaders) -> String? {
        if block.count > HTTP1Parser.fieldLimit { return "http2.too_many_headers" }
        let size = block.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count }
        return size > HTTP1Parser.requestHeadLimit ? "http2.header_list_size_too_large" : nil
    }

    /// The request of a client; NIO has checked its pseudo-header fields.
    static func request(_ block: HPACKHeaders) -> HTTPRequestHead {
        var head = HTTPRequestHead(
            method: "", path: nil, authority: nil, scheme: nil, fields: HTTPFields(), version: .http2)
        var cookies: [String] = []
        head.fields.reserve(block.count)
        for (name, value, _) in block {
            switch name {
            case ":method": head.method = value
            case ":path": head.path = value
            case ":authority": head.authority = value
            case ":scheme": head.scheme = value
            case "host": if head.authority == nil { head.authority = value }
            case "cookie": cookies.append(value)
            case _ where name.hasPrefix(":"): continue
            default: head.fields.append(name, value)
            }
        }
        // RFC 9113, 8.2.3: crumbs of one cookie.
        if !cookies.isEmpty { head.fields.append("cookie", cookies.joined(separator: "; ")) }
        head.fields.mergeSingletons()
        return head
    }

    /// The response of a server; nil without a status.
    static func response(_ block: HPACKHeaders) -> HTTPResponseHead? {
        guard let status = block.first(name: ":status").flatMap({ Int($0) }) else { return nil }
        return HTTPResponseHead(status: status, fields: fields(block))
    }

    /// Trailers, or the ordinary fields of a head.
    static func fields(_ block: HPACKHeaders) -> HTTPFields {
        var fields = HTTPFields()
        fields.reserve(block.count)
        for (name, value, _) in block where !name.hasPrefix(":") { fields.append(name, value) }
        return fields
    }

    static func block(_ head: HTTPRequestHead) -> HPACKHeaders {
        var block = HPACKHeaders()
        block.reserveCapacity(head.fields.count + 4)
        block.add(name: ":method", value: head.method)
        if let path = head.path {
            block.add(name: ":scheme", value: head.scheme ?? "http")
            block.add(name: ":path", value: path)
        }
        if let authority = head.authority { block.add(name: ":authority", value: authority) }
        append(head.fields, to: &block)
        return block
    }

    static func block(_ head: HTTPResponseHead) -> HPACKHeaders {
        var block = HPACKHeaders()
        block.reserveCapacity(head.fields.count + 1)
        block.add(name: ":status", value: String(head.status))
        append(head.fields, to: &block)
        return block
    }

    static func block(_ trailers: HTTPFields) -> HPACKHeaders {
        var block = HPACKHeaders()
        append(trailers, to: &block)
        return block
    }

    private static func append(_ fields: HTTPFields, to block: inout HPACKHeaders) {
        for field in fields.fields where !connectionFields.contains(field.name) {
            block.add(name: field.name, value: FieldText.readable(field.value))
        }
    }
}
