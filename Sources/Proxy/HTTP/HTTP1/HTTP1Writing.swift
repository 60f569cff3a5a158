import NIOCore
import NIOHTTP1

/// Writes HTTP/1 heads and chunks, as Envoy does.
enum HTTP1Writing {
    /// - Parameter ended: no body follows.
    /// - Returns: whether the body must be chunked.
    static func write(_ head: HTTPRequestHead, ended: Bool, to buffer: inout ByteBuffer) -> Bool {
        buffer.writeString(head.method)
        buffer.writeString(" ")
        buffer.writeString(head.path ?? "")
        buffer.writeString(" HTTP/1.1\r\n")
        if let authority = head.authority { write("host", authority, to: &buffer) }
        for field in head.fields.fields { write(field.name, field.value, to: &buffer) }
        var isChunked = false
        if !head.fields.contains("content-length") {
            if !ended {
                // What follows an upgrade is no body.
                isChunked = !head.fields.contains("upgrade")
                if isChunked { write("transfer-encoding", "chunked", to: &buffer) }
            } else if !bodylessMethods.contains(head.method) {
                write("content-length", "0", to: &buffer)
            }
        }
        buffer.writeStaticString("\r\n")
        return isChunked
    }

    /// What a response's codec does with its body.
    enum ResponseBody: Equatable {
        /// HEAD: parts of a body are not written.
        case none
        case plain
        case chunked
        case untilClose
    }

    static func write(
        _ head: HTTPResponseHead, ended: Bool, version: HTTPProtocol, isHead: Bool, to buffer: inout ByteBuffer
    ) -> ResponseBody {
        buffer.writeString(version == .http10 ? "HTTP/1.0 " : "HTTP/1.1 ")
        buffer.writeString(String(head.status))
        buffer.writeString(" ")
        buffer.writeString(reason(head.status))
        buffer.writeStaticString("\r\n")
        for field in head.fields.fields { write(field.name, field.value, to: &buffer) }
        var body: ResponseBody
        let status = head.status
        if head.fields.contains("content-length") {
            body = .plain
        } else if ended, !isHead {
            if status >= 200, status != 204, status != 304 { write("content-length", "0", to: &buffer) }
            body = .plain
        } else if version == .http10 {
            body = .untilClose
        } else if status < 200 || status == 204 || status == 304 {
            body = .plain
        } else {
            write("transfer-encoding", "chunked", to: &buffer)
            body = .chunked
        }
        buffer.writeStaticString("\r\n")
        if isHead { body = .none }
        return body
    }

    /// The line before a chunk of `size` bytes.
    static func writeChunkStart(_ size: Int, to buffer: inout ByteBuffer) {
        buffer.writeString(String(size, radix: 16))
        buffer.writeStaticString("\r\n")
    }

    private static func write(_ name: String, _ value: String, to buffer: inout ByteBuffer) {
        buffer.writeString(name)
        buffer.writeStaticString(": ")
        FieldText.write(value, to: &buffer)
        buffer.writeStaticString("\r\n")
    }

    private static func reason(_ status: Int) -> String {
        let status = HTTPResponseStatus(statusCode: status)
        if case .custom = status { return "Unknown" }
        return status.reasonPhrase
    }

    private static let bodylessMethods: Set<String> = ["GET", "HEAD", "DELETE", "CONNECT", "TRACE"]
}
