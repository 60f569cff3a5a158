/// Parses the lines of a head, all of which are there.
enum HTTP1HeadParser {
    static func parse(
        _ bytes: UnsafeRawBufferPointer, _ isRequest: Bool, limit: Int
    ) throws(HTTP1ParseError) -> HTTP1Head {
        for byte in bytes where byte < 32 && byte != 9 && byte != 10 && byte != 13 || byte == 127 {
            throw .invalidCharacters
        }
        let lineEnd = bytes.firstIndex(of: 10) ?? bytes.count
        let words = try firstLine(UnsafeRawBufferPointer(rebasing: bytes[..<lineEnd]), isRequest)
        var fields = HTTPFields()
        fields.reserve(16)
        try parseFields(bytes, from: lineEnd + 1, into: &fields)
        return HTTP1Head(words: words, fields: fields)
    }

    /// The three words of a request line or status line.
    static func firstLine(_ line: UnsafeRawBufferPointer, _ isRequest: Bool) throws(HTTP1ParseError) -> [String] {
        let words = words(line)
        if isRequest {
            guard methods.contains(words[0]), isTarget(words[1], isConnect: words[0] == "CONNECT"),
                words[2].isEmpty || isVersion(words[2])
            else { throw .codec }
        } else {
            guard isVersion(words[0]), let status = Int(words[1]), (100...9999).contains(status) else { throw .codec }
        }
        return words
    }

    /// `http/1.1` or `http/1.0` when `line` can begin a request, whatever its method (Envoy: `http_inspector`).
    static func version(ofRequestLine line: UnsafeRawBufferPointer) -> String? {
        let words = words(line)
        guard let first = line.first, isToken(first), words[0].utf8.allSatisfy(isToken),
            isTarget(words[1], isConnect: words[0] == "CONNECT"), isVersion(words[2])
        else {
            return nil
        }
        return words[2] == "HTTP/1.1" ? "http/1.1" : "http/1.0"
    }

    /// Up to three words; the last one takes the rest of the line.
    private static func words(_ line: UnsafeRawBufferPointer) -> [String] {
        var end = line.count
        while end > 0, line[end - 1] <= 32 { end -= 1 }
        var result: [String] = []
        var index = 0
        for place in 0..<3 {
            let start = index
            if place == 2 {
                index = end
            } else {
                while index < end, line[index] > 32 { index += 1 }
            }
            result.append(String(decoding: line[start..<max(start, index)], as: UTF8.self))
            while index < end, line[index] <= 32 { index += 1 }
        }
        return result
    }

    /// Appends the fields of the lines that begin at `from`.
    static func parseFields(
        _ bytes: UnsafeRawBufferPointer, from: Int, into fields: inout HTTPFields
    ) throws(HTTP1ParseError) {
        var index = from
        while index < bytes.count {
            let first = bytes[index]
            if first == 10 || first == 13 && index + 1 < bytes.count && bytes[index + 1] == 10 { return }
            // A fold needs a field to continue.
            if first == 32 || first == 9 { throw .codec }
            var end = bytes[index...].firstIndex(of: 10) ?? bytes.count
            var isFolded = false
            while end + 1 < bytes.count, bytes[end + 1] == 32 || bytes[end + 1] == 9 {
                isFolded = true
                end = bytes[(end + 1)...].firstIndex(of: 10) ?? bytes.count
            }
            guard let colon = bytes[index..<end].firstIndex(of: UInt8(ascii: ":")), colon > index else {
                throw .codec
            }
            for place in index..<colon where !tokenBytes[Int(bytes[place])] { throw .codec }
            var valueStart = colon + 1
            var valueEnd = end
            while valueStart < valueEnd, bytes[valueStart] <= 32 { valueStart += 1 }
            while valueEnd > valueStart, bytes[valueEnd - 1] <= 32 { valueEnd -= 1 }
            fields.append(
                lowercased(bytes, index, colon), value(bytes, valueStart, valueEnd, isFolded: isFolded))
            if fields.count > HTTP1Parser.fieldLimit { throw .tooManyHeaders }
            index = end + 1
        }
    }

    private static func lowercased(_ bytes: UnsafeRawBufferPointer, _ start: Int, _ end: Int) -> String {
        String(unsafeUninitializedCapacity: end - start) { buffer in
            for place in start..<end {
                let byte = bytes[place]
                buffer[place - start] = byte &- 65 < 26 ? byte | 32 : byte
            }
            return end - start
        }
    }

    /// Line ends inside a value are left out, the blanks of a fold stay.
    private static func value(_ bytes: UnsafeRawBufferPointer, _ start: Int, _ end: Int, isFolded: Bool) -> String {
        let slice = UnsafeRawBufferPointer(rebasing: bytes[start..<end])
        if isFolded || slice.contains(13) {
            return slice.filter { $0 != 13 && $0 != 10 }.withUnsafeBytes(FieldText.string)
        }
        return FieldText.string(slice)
    }

    /// How the body of a message with these fields ends.
    static func framing(of fields: HTTPFields) throws(HTTP1ParseError) -> HTTP1Framing {
        var length: UInt64?
        var coding: String?
        for field in fields.fields {
            if field.name == "content-length" {
                guard length == nil, !field.value.isEmpty, field.value.utf8.allSatisfy({ (48...57).contains($0) }),
                    let value = UInt64(field.value)
                else { throw .codec }
                length = value
            } else if field.name == "transfer-encoding" {
                coding = coding.map { $0 + "," + field.value } ?? field.value
            }
        }
        if let coding {
            // Of whatever coding: each of the two would end the body elsewhere.
            if length != nil { throw .lengthAndChunked }
            guard coding.lowercased() == "chunked" else { throw .invalidTransferEncoding }
            return .chunked
        }
        return length.map(HTTP1Framing.length) ?? .unspecified
    }

    private static func isVersion(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        return bytes.count == 8 && text.hasPrefix("HTTP/") && bytes[6] == UInt8(ascii: ".")
            && (48...57).contains(bytes[5]) && (48...57).contains(bytes[7])
    }

    /// Envoy: `isUrlValid` of its parser.
    private static func isTarget(_ target: String, isConnect: Bool) -> Bool {
        let bytes = Array(target.utf8)
        guard let first = bytes.first else { return false }
        let isPathByte = { (byte: UInt8) in byte == 9 || byte == 12 || (33...126).contains(byte) }
        if first == UInt8(ascii: "/") || first == UInt8(ascii: "*") { return bytes.dropFirst().allSatisfy(isPathByte) }
        var rest = bytes[...]
        if !isConnect {
            guard isLetter(first) else { return false }
            let scheme = rest.prefix { isLetter($0) || (48...57).contains($0) || "+-.".utf8.contains($0) }
            rest = rest.dropFirst(scheme.count)
            guard rest.starts(with: "://".utf8) else { return false }
            rest = rest.dropFirst(3)
        }
        let host = rest.prefix { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }
        let isHostByte = { (byte: UInt8) in
            isLetter(byte) || (48...57).contains(byte) || "!$%&'()*+,-.:;=@[]_~".utf8.contains(byte)
        }
        return host.allSatisfy(isHostByte) && !target.contains("@@") && rest[host.endIndex...].allSatisfy(isPathByte)
    }

    private static func isLetter(_ byte: UInt8) -> Bool { (65...90).contains(byte) || (97...122).contains(byte) }

    private static let methods: Set<String> = [
        "ACL", "BIND", "CHECKOUT", "CONNECT", "COPY", "DELETE", "GET", "HEAD", "LINK", "LOCK", "MERGE", "MKACTIVITY",
        "MKCALENDAR", "MKCOL", "MOVE", "MSEARCH", "NOTIFY", "OPTIONS", "PATCH", "POST", "PROPFIND", "PROPPATCH",
        "PURGE", "PUT", "REBIND", "REPORT", "SEARCH", "SOURCE", "SUBSCRIBE", "TRACE", "UNBIND", "UNLINK", "UNLOCK",
        "UNSUBSCRIBE",
    ]

    static func isToken(_ byte: UInt8) -> Bool { tokenBytes[Int(byte)] }

    /// RFC 9110, 5.6.2.
    private static let tokenBytes: [Bool] = {
        var table = [Bool](repeating: false, count: 256)
        for byte in 48...57 { table[byte] = true }
        for byte in 65...90 { table[byte] = true }
        for byte in 97...122 { table[byte] = true }
        for byte in "!#$%&'*+-.^_`|~".utf8 { table[Int(byte)] = true }
        return table
    }()
}
