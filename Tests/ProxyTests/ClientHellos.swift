/// ClientHellos for tests, built from the structs of RFC 8446.
enum ClientHellos {
    static func make(
        serverName: String?, padding: Int = 0, recordSize: Int = 16_384, extensions others: [(Int, [UInt8])] = []
    ) -> [UInt8] {
        var extensions: [UInt8] = []
        for (type, data) in others { extensions += u16(type) + u16(data.count) + data }
        if let serverName {
            let name = Array(serverName.utf8)
            // server_name: list length, host_name (0), name
            let entry = [0] + u16(name.count) + name
            extensions += u16(0) + u16(entry.count + 2) + u16(entry.count) + entry
        }
        // ALPN: h2, http/1.1
        let protocols: [UInt8] = [2] + Array("h2".utf8) + [8] + Array("http/1.1".utf8)
        extensions += u16(16) + u16(protocols.count + 2) + u16(protocols.count) + protocols
        if padding > 0 { extensions += u16(21) + u16(padding) + [UInt8](repeating: 0, count: padding) }
        var body: [UInt8] = [3, 3] + [UInt8](repeating: 7, count: 32)
        body += [32] + [UInt8](repeating: 9, count: 32)
        body += u16(2) + [0x13, 0x01] + [1, 0]
        body += u16(extensions.count) + extensions
        let message = [1, UInt8(body.count >> 16), UInt8(body.count >> 8 & 255), UInt8(body.count & 255)] + body
        var result: [UInt8] = []
        var rest = message[...]
        while !rest.isEmpty {
            let part = rest.prefix(recordSize)
            result += [22, 3, 1] + u16(part.count) + part
            rest = rest.dropFirst(part.count)
        }
        return result
    }

    private static func u16(_ value: Int) -> [UInt8] { [UInt8(value >> 8), UInt8(value & 255)] }
}
