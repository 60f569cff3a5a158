/// Finds the server name and ALPN of a TLS ClientHello that arrives in any portions (Envoy: `tls_inspector`).
///
/// Handshake bytes are gathered over records of any size; nothing is parsed twice.
package struct ClientHelloParser: Sendable {
    package struct Hello: Equatable, Sendable {
        /// Lower case; nil without the extension.
        package var serverName: String?
        package var applicationProtocols: [String]

        package init(serverName: String?, applicationProtocols: [String]) {
            self.serverName = serverName
            self.applicationProtocols = applicationProtocols
        }
    }

    package enum Result: Equatable, Sendable {
        case needsMore
        case notTLS
        /// The limit is reached, and the hello goes on.
        case tooLarge
        case hello(Hello)
    }

    /// How many bytes may be taken, with the heads of records.
    private let limit: Int
    private var header: [UInt8] = []
    private var recordRest = 0
    private var handshake: [UInt8] = []
    private var taken = 0
    private var result = Result.needsMore

    package init(limit: Int = 65_536) { self.limit = limit }

    /// Takes the next bytes; once the result is not `needsMore`, it stays.
    package mutating func feed(_ bytes: some Collection<UInt8>) -> Result {
        var rest = bytes[...]
        while result == .needsMore, let byte = rest.first {
            if taken >= limit {
                result = .tooLarge
            } else if recordRest == 0 {
                rest.removeFirst()
                taken += 1
                header.append(byte)
                checkHeader()
            } else {
                let part = rest.prefix(min(recordRest, limit - taken))
                taken += part.count
                recordRest -= part.count
                handshake.append(contentsOf: part)
                rest = rest.dropFirst(part.count)
                checkHandshake()
            }
        }
        if result == .needsMore, taken >= limit { result = .tooLarge }
        return result
    }

    /// struct { ContentType type; ProtocolVersion legacy_record_version; uint16 length; } – RFC 8446, 5.1
    private mutating func checkHeader() {
        // Envoy's inspector, as its TLS library, looks at a header once it is whole; nginx does, too.
        guard header.count == 5 else { return }
        let (type, version, length) = (header[0], header[1], Int(header[3]) << 8 | Int(header[4]))
        header.removeAll(keepingCapacity: true)
        if type == 22, version == 3, (1...16_384).contains(length) { recordRest = length } else { result = .notTLS }
    }

    /// struct { HandshakeType msg_type; uint24 length; … } – RFC 8446, 4
    private mutating func checkHandshake() {
        guard let type = handshake.first else { return }
        guard type == 1 else {
            result = .notTLS
            return
        }
        guard handshake.count >= 4 else { return }
        let length = Int(handshake[1]) << 16 | Int(handshake[2]) << 8 | Int(handshake[3])
        if length > limit {
            // Envoy's TLS library reads whole records.
            if recordRest == 0 { result = .notTLS }
        } else if handshake.count >= 4 + length {
            result = Self.parse(handshake[4..<(4 + length)]).map(Result.hello) ?? .notTLS
            handshake = []
        }
    }

    /// The body of a ClientHello (RFC 8446, 4.1.2); nil when its lengths contradict each other.
    private static func parse(_ body: ArraySlice<UInt8>) -> Hello? {
        var reader = ByteReader(rest: body)
        guard reader.skip(2 + 32), reader.vector(lengthBytes: 1) != nil, reader.vector(lengthBytes: 2) != nil,
            reader.vector(lengthBytes: 1) != nil
        else { return nil }
        var hello = Hello(serverName: nil, applicationProtocols: [])
        if reader.rest.isEmpty { return hello }
        guard var extensions = reader.vector(lengthBytes: 2).map(ByteReader.init) else { return nil }
        while !extensions.rest.isEmpty {
            guard let type = extensions.integer(2), let data = extensions.vector(lengthBytes: 2) else { return nil }
            switch type {
            case 0:
                guard let name = serverName(data) else { return nil }
                hello.serverName = name
            case 16:
                guard let protocols = applicationProtocols(data) else { return nil }
                hello.applicationProtocols = protocols
            default: break
            }
        }
        return hello
    }

    /// RFC 6066, 3: a list of (name_type, HostName); only host_name (0) is known.
    private static func serverName(_ data: ArraySlice<UInt8>) -> String? {
        var reader = ByteReader(rest: data)
        guard var list = reader.vector(lengthBytes: 2).map(ByteReader.init), let type = list.integer(1), type == 0,
            let name = list.vector(lengthBytes: 2), !name.isEmpty,
            // Whatever else a client puts there would end up in logs.
            name.allSatisfy({ (0x21...0x7e).contains($0) })
        else { return nil }
        return String(decoding: name, as: UTF8.self).lowercased()
    }

    private static func applicationProtocols(_ data: ArraySlice<UInt8>) -> [String]? {
        var reader = ByteReader(rest: data)
        guard var list = reader.vector(lengthBytes: 2).map(ByteReader.init) else { return nil }
        var result: [String] = []
        while !list.rest.isEmpty {
            guard let name = list.vector(lengthBytes: 1) else { return nil }
            result.append(String(decoding: name, as: UTF8.self))
        }
        return result
    }
}

/// Reads TLS presentation language; every read is bounds checked.
private struct ByteReader {
    var rest: ArraySlice<UInt8>

    mutating func skip(_ count: Int) -> Bool {
        guard rest.count >= count else { return false }
        rest = rest.dropFirst(count)
        return true
    }

    mutating func integer(_ count: Int) -> Int? {
        guard rest.count >= count else { return nil }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count).reduce(0) { $0 << 8 | Int($1) }
    }

    mutating func vector(lengthBytes: Int) -> ArraySlice<UInt8>? {
        guard let length = integer(lengthBytes), rest.count >= length else { return nil }
        defer { rest = rest.dropFirst(length) }
        return rest.prefix(length)
    }
}
