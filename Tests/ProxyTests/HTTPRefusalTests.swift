import NetworkAddresses
import Proxy
import ProxyModel
import TestSupport
import Testing

/// What an HTTP chain without an inspector in front refuses.
@Suite struct HTTPRefusalTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let name: String
        let request: String
        let status: Int
        let details: String
        var testDescription: String { name }

        init(_ name: String, _ request: String, _ status: Int, _ details: String) {
            self.name = name
            self.request = request
            self.status = status
            self.details = details
        }
    }

    static let cases = [
        Case("HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\n\r\n", 426, "low_version"),
        Case("no Host", "GET / HTTP/1.1\r\n\r\n", 400, "missing_host_header"),
        Case("CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 404, "route_not_found"),
        Case(
            "length and chunked",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            400, "http1.content_length_and_chunked_not_allowed"),
        Case(
            "gzip, chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501,
            "http1.invalid_transfer_encoding"),
        Case(
            "xchunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501,
            "http1.invalid_transfer_encoding"),
        Case("two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 2\r\n\r\nx", 400, "http1.codec_error"),
        Case("space before colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400, "http1.codec_error"),
        Case("unknown method", "FOO / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "http1.codec_error"),
        Case("NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400, "http1.invalid_characters"),
        Case("a Host with a slash", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "http.invalid_authority"),
        Case("a fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "path_normalization_failed"),
        Case("an escaped NUL", "GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "path_normalization_failed"),
        Case("another scheme", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "http1.invalid_scheme"),
        Case("* with GET", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400, "http1.invalid_url"),
        Case("HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 426, "low_version"),
        Case("a first line of another protocol", "SSH-2.0-client\r\n", 400, "http1.codec_error"),
        Case("no version", "GET /\r\n\r\n", 426, "low_version"),
        Case("a control character", "GET / HTTP/1.1\r\nHost: a\r\nX: \u{1}\r\n\r\n", 400, "http1.invalid_characters"),
        Case("a fold without a field", "GET / HTTP/1.1\r\n X: a\r\nHost: a\r\n\r\n", 400, "http1.codec_error"),
        Case("a nameless field", "GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n", 400, "http1.codec_error"),
        Case(
            "two equal lengths", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n", 400,
            "http1.codec_error"),
        Case(
            "x-forwarded-for as hop-by-hop", "GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Forwarded-For\r\n\r\n", 400,
            "http1.connection_header_rejected"),
        Case(
            "the Host as hop-by-hop", "GET / HTTP/1.1\r\nHost: a\r\nConnection: host\r\n\r\n", 400,
            "missing_host_header"),
        Case(
            "an unknown upgrade", "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n", 403,
            "upgrade_failed"),
        Case(
            "101 fields", "GET / HTTP/1.1\r\nHost: a\r\n" + String(repeating: "X: 1\r\n", count: 100) + "\r\n", 431,
            "http1.too_many_headers"),
        Case("relative path", "GET x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "http1.codec_error"),
        Case(
            "61 KiB of headers",
            "GET / HTTP/1.1\r\nHost: a\r\nX: \(String(repeating: "x", count: 61 * 1024))\r\n\r\n", 431,
            "http1.headers_too_large"),
        Case(
            "many headers beyond the limit together",
            "GET / HTTP/1.1\r\nHost: a\r\n\(String(repeating: "X: \(String(repeating: "x", count: 1000))\r\n", count: 70))\r\n",
            431, "http1.headers_too_large"),
    ]

    @Test("refused, then closed, and nothing reaches an upstream", arguments: cases)
    func refused(_ sample: Case) async throws {
        let seen = Collector<String>()
        let origin = try Origin.http(seen: seen)
        try await TestBench.run({
            .http(at: $0, hosts: [.all()], clusters: [.fixed([origin.endpoint])], filters: [])
        }) { bench in
            let client = try bench.connect()
            try client.send(sample.request)
            let answer = try client.receiveMessage()
            #expect(answer.head.hasPrefix("HTTP/1.1 \(sample.status) "))
            #expect(answer.head.header("connection") == "close")
            client.finishSending()
            #expect(client.receivesNothing)
            let record = try #require(bench.record())
            #expect(record.responseCode == sample.status)
            #expect(record.responseCodeDetails == sample.details)
            #expect(seen.all.isEmpty && bench.closed())
        }
    }

    @Test("a refused request has its route in the log only if it brings its own x-forwarded-proto")
    func routeOfRefused() async throws {
        let origin = try Origin.http()
        try await TestBench.run({ .http(at: $0, hosts: [.all("a")], clusters: [.fixed([origin.endpoint])]) }) { bench in
            let cases: [(host: String, field: String, route: String?)] = [
                ("a", "X-Forwarded-Proto: https", "default"), ("a", "X-Forwarded-Proto: ", nil), ("a", "X: y", nil),
                ("b", "X-Forwarded-Proto: https", nil),
            ]
            for (index, sample) in cases.enumerated() {
                let client = try bench.connect()
                try client.send("GET /%00 HTTP/1.1\r\nHost: \(sample.host)\r\n\(sample.field)\r\n\r\n")
                #expect(try client.receiveMessage().head.hasPrefix("HTTP/1.1 400 "))
                let record = try #require(bench.record(index))
                #expect(record.responseCodeDetails == "path_normalization_failed")
                #expect(record.routeName == sample.route)
                #expect(record.upstreamCluster == sample.route.map { _ in "target" })
            }
        }
    }

    @Test("a bad chunk inside a body ends both sides")
    func badChunk() async throws {
        let arrived = Collector<String>()
        let cut = Collector<Bool>()
        let origin = try Origin { socket in
            arrived.add(try socket.receiveText(until: "abc\r\n"))
            cut.add(((try? socket.receiveAll()) ?? []).isEmpty)
        }
        try await TestBench.run({ .http(at: $0, hosts: [.all()], clusters: [.fixed([origin.endpoint])]) }) { bench in
            let client = try bench.connect()
            try client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
            #expect(arrived.wait { $0.first } != nil)
            try client.send("zz\r\n")
            #expect(try client.receiveMessage().head.hasPrefix("HTTP/1.1 400"))
            #expect(cut.wait { $0.first } == true)
            #expect(bench.record()?.responseFlags == ["DPE"])
        }
    }

    @Test("an unread request body does not turn the answer into a reset")
    func earlyAnswer() async throws {
        try await TestBench.run({ .http(at: $0, hosts: [.blockAll], clusters: []) }) { bench in
            let client = try bench.connect()
            try client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
            try client.send([UInt8](repeating: 1, count: 300_000))
            let head = try client.receiveText(until: "\r\n\r\n")
            #expect(head.hasPrefix("HTTP/1.1 502") && head.header("connection") == "close")
            // As Envoy does it: the client has a second to leave by itself.
            #expect(((try? client.receiveAll()) ?? []).isEmpty)
        }
    }

    @Test("a refused body that has come with its head is read, however large: the connection ends without a reset")
    func bodyOfRefused() async throws {
        try await TestBench.run({ .http(at: $0, hosts: [.blockAll], clusters: [], filters: []) }) { bench in
            let client = try bench.connect()
            let head = "POST /%00 HTTP/1.1\r\nHost: a\r\nContent-Length: 30000\r\n\r\n"
            try client.send(Array(head.utf8) + [UInt8](repeating: 1, count: 30_000))
            client.finishSending()
            let answer = try client.receiveAll()
            #expect(String(decoding: answer, as: UTF8.self).hasPrefix("HTTP/1.1 400 "))
            #expect(bench.closed())
        }
    }

    @Test(
        "after a refusal nothing is read: what the client still sends is answered with a reset", .timeLimit(.minutes(1))
    )
    func unread() async throws {
        try await TestBench.run({ .http(at: $0, hosts: [.blockAll], clusters: [], filters: []) }) { bench in
            let client = try bench.connect()
            try client.send("hello\r\n\r\n")
            #expect(try client.receiveMessage().head.hasPrefix("HTTP/1.1 400"))
            try client.send("more")
            client.finishSending()
            #expect(throws: (any Error).self) { try client.receiveAll() }
            let silent = try bench.connect()
            try silent.send("hello\r\n\r\n")
            #expect(try silent.receiveMessage().head.hasPrefix("HTTP/1.1 400"))
            silent.finishSending()
            #expect(try silent.receiveAll().isEmpty)
        }
    }

    @Test("random bytes in random portions never stop the proxy", arguments: 0..<24)
    func fuzz(_ seed: UInt64) async throws {
        let origin = try Origin.http()
        let inspected = seed % 2 == 0
        try await TestBench.run({
            .http(
                at: $0, hosts: [.all("a"), .blockAll], clusters: [.fixed([origin.endpoint])],
                filters: inspected ? [.tlsInspector, .httpInspector] : [])
        }) { bench in
            var random = SplitMix(state: seed)
            for _ in 0..<12 {
                let client = try bench.connect()
                for part in random.conversation() {
                    // The proxy may have refused and left by now; that is what it should do.
                    guard (try? client.send(part)) != nil else { break }
                }
                client.finishSending()
                _ = try? client.receiveAll()
            }
            #expect(bench.closed(12))
            let client = try bench.connect()
            try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(try client.receiveMessage().body == "hello")
        }
    }
}

/// A small repeatable generator (Steele, Lea, Flood: SplitMix64).
private struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    /// Valid beginnings with bytes changed, cut into portions.
    mutating func conversation() -> [[UInt8]] {
        let samples: [[UInt8]] = [
            Array("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: other\r\n\r\n".utf8),
            Array("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n".utf8),
            Array("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello".utf8),
            ClientHellos.make(serverName: "www.google.com", padding: Int.random(in: 0..<3000, using: &self)),
            (0..<Int.random(in: 1..<2000, using: &self)).map { _ in UInt8(truncatingIfNeeded: next()) },
        ]
        var bytes = samples[Int.random(in: 0..<samples.count, using: &self)]
        for _ in 0..<Int.random(in: 0..<4, using: &self) {
            bytes[Int.random(in: 0..<bytes.count, using: &self)] = UInt8(truncatingIfNeeded: next())
        }
        var parts: [[UInt8]] = []
        var rest = bytes[...]
        while !rest.isEmpty, parts.count < 40 {
            let size = min(rest.count, Int.random(in: 1...200, using: &self))
            parts.append(Array(rest.prefix(size)))
            rest = rest.dropFirst(size)
        }
        return parts
    }
}
