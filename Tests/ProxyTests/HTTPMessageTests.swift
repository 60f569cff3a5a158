import NetworkAddresses
import Proxy
import ProxyModel
import TestSupport
import Testing

/// Bodies, framings and what becomes of single fields.
@Suite struct HTTPMessageTests {
    @Test("a response until close, chunked, HEAD, 204 and 304 keep their shape; trailers are dropped")
    func framings() async throws {
        let origin = try Origin { socket in
            while true {
                let head = try socket.receiveMessage().head
                if head.isEmpty { return }
                if head.hasPrefix("HEAD") {
                    try socket.send("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")
                } else if head.contains("/chunked") {
                    try socket.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n")
                    try socket.send("3\r\nabc\r\n4\r\ndefg\r\n0\r\nx: y\r\n\r\n")
                } else if head.contains("/204") {
                    try socket.send("HTTP/1.1 204 No Content\r\n\r\n")
                } else if head.contains("/304") {
                    try socket.send("HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n")
                } else {
                    try socket.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end")
                    return
                }
            }
        }
        try await TestBench.run({ .http(at: $0, hosts: [.all()], clusters: [.fixed([origin.endpoint])]) }) { bench in
            let client = try bench.connect()
            let get = { (path: String) in "GET \(path) HTTP/1.1\r\nHost: a\r\n\r\n" }
            try client.send(get("/chunked"))
            #expect(try client.receiveText(until: "\r\n\r\n").header("transfer-encoding") == "chunked")
            let chunked = try client.receiveText(until: "0\r\n\r\n")
            #expect(chunked.replacingChunkHeads() == "abcdefg")
            try client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + get("/204") + get("/304") + get("/close"))
            #expect(try client.receiveText(until: "\r\n\r\n").header("content-length") == "500")
            #expect(try client.receiveText(until: "\r\n\r\n").hasPrefix("HTTP/1.1 204"))
            #expect(try client.receiveText(until: "\r\n\r\n").hasPrefix("HTTP/1.1 304"))
            #expect(try client.receiveText(until: "\r\n\r\n").header("transfer-encoding") == "chunked")
            #expect(try client.receiveText(until: "0\r\n\r\n") == "d\r\nuntil the end\r\n0\r\n\r\n")
        }
    }

    @Test("a chunked request goes upstream in the pieces that arrived, without its trailers")
    func chunkedRequest() async throws {
        let seen = Collector<String>()
        let origin = try Origin { socket in
            seen.add(try socket.receiveText(until: "0\r\n\r\n"))
            try socket.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        }
        try await TestBench.run({ .http(at: $0, hosts: [.all()], clusters: [.fixed([origin.endpoint])]) }) { bench in
            let client = try bench.connect()
            try client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            try client.send("5\r\nhello\r\n0\r\nt: v\r\n\r\n")
            #expect(try client.receiveMessage().head.hasPrefix("HTTP/1.1 200"))
            let text = try #require(seen.all.first)
            #expect(text.header("transfer-encoding") == "chunked")
            #expect(text.hasSuffix("\r\n\r\n5\r\nhello\r\n0\r\n\r\n"))
            #expect(bench.record()?.bytesReceived == 5)
        }
    }

    @Test("Expect: 100-continue is answered by the proxy and not passed on")
    func expectContinue() async throws {
        let seen = Collector<String>()
        let origin = try Origin.http(seen: seen)
        try await TestBench.run({ .http(at: $0, hosts: [.all()], clusters: [.fixed([origin.endpoint])]) }) { bench in
            let client = try bench.connect()
            try client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
            #expect(try client.receiveText(until: "\r\n\r\n").hasPrefix("HTTP/1.1 100 Continue"))
            try client.send("abc")
            #expect(try client.receiveMessage().body == "hello")
            #expect(seen.all.first?.header("expect") == nil)
            #expect(seen.all.first?.hasSuffix("abc") == true)
        }
    }

    @Test("an absolute target is routed by its authority; hop-by-hop headers stay behind")
    func absoluteForm() async throws {
        let seen = Collector<String>()
        let origin = try Origin.http(seen: seen)
        try await TestBench.run({
            .http(at: $0, hosts: [.all("allowed.org"), .blockAll], clusters: [.fixed([origin.endpoint])])
        }) { bench in
            let client = try bench.connect()
            try client.send(
                "GET http://allowed.org/p?q HTTP/1.1\r\nHost: other\r\nConnection: keep-alive, x-mine\r\nX-Mine: 1\r\n"
                    + "Keep-Alive: 5\r\nProxy-Connection: x\r\nUpgrade: websocket\r\nX-Other: 2\r\n\r\n")
            #expect(try client.receiveMessage().body == "hello")
            let request = try #require(seen.all.first)
            #expect(request.hasPrefix("GET /p?q HTTP/1.1\r\nhost: allowed.org\r\n"))
            for name in ["connection", "x-mine", "keep-alive", "proxy-connection", "upgrade"] {
                #expect(request.header(name) == nil)
            }
            #expect(request.header("x-other") == "2")
            #expect(bench.record()?.authority == "allowed.org")
        }
    }

    @Test("3 MB up and down, and a paused reader holds the origin back")
    func bodies() async throws {
        let size = 3 << 20
        let origin = try Origin { socket in
            let message = try socket.receiveMessage()
            try socket.send("HTTP/1.1 200 OK\r\nContent-Length: \(message.body.utf8.count)\r\n\r\n" + message.body)
        }
        try await TestBench.run({
            .http(at: $0, hosts: [.all(retries: .istio)], clusters: [.fixed([origin.endpoint])])
        }) { bench in
            let client = try bench.connect()
            let body = String(repeating: "0123456789abcdef", count: size / 16)
            try client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \(size)\r\n\r\n" + body)
            #expect(try client.receiveMessage().body == body)
            let record = try #require(bench.record())
            #expect(record.bytesReceived == UInt64(size) && record.bytesSent == UInt64(size))
        }
    }

    @Test("a client that does not read stops a large response: memory stays bounded")
    func slowClient() async throws {
        let sent = Collector<Int>()
        let origin = try Origin { socket in
            _ = try socket.receiveText(until: "\r\n\r\n")
            socket.setSendTimeout(milliseconds: 300)
            try socket.send("HTTP/1.1 200 OK\r\nContent-Length: \(200 << 20)\r\n\r\n")
            let chunk = [UInt8](repeating: 1, count: 1 << 20)
            var count = 0
            while count < 64, (try? socket.send(chunk)) != nil { count += 1 }
            sent.add(count)
        }
        try await TestBench.run({ .http(at: $0, hosts: [.all()], clusters: [.fixed([origin.endpoint])]) }) { bench in
            let client = try bench.connect(receiveBuffer: 4096)
            try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            let count = try #require(sent.wait { $0.first })
            #expect(count < 40)
        }
    }

    @Test("where HTTP/1.0 is accepted: chunked answers end with the connection, others may keep it")
    func http10() async throws {
        let origin = try Origin { socket in
            while true {
                let head = try socket.receiveMessage().head
                if head.isEmpty { return }
                try socket.send(
                    head.contains("/chunked")
                        ? "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
                        : "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nxyz")
            }
        }
        let manager = HTTPConnectionManager(statPrefix: "p", routeConfiguration: "80", acceptsHTTP10: true)
        try await TestBench.run({
            .http(at: $0, hosts: [.all()], clusters: [.fixed([origin.endpoint])], filters: [], manager: manager)
        }) { bench in
            let client = try bench.connect()
            try client.send("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
            let first = try client.receiveMessage()
            #expect(first.head.hasPrefix("HTTP/1.0 200") && first.body == "xyz")
            #expect(first.head.header("connection") == "keep-alive")
            try client.send("GET /chunked HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
            let second = try client.receiveText(until: "\r\n\r\n")
            #expect(second.header("connection") == "close" && second.header("transfer-encoding") == nil)
            #expect(try client.receiveAll() == Array("abc".utf8))
        }
    }

    @Test("an upstream's 101 that nobody asked for is passed on as an answer without a body")
    func unaskedUpgrade() async throws {
        let origin = try Origin { socket in
            _ = try socket.receiveMessage()
            try socket.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nbytes")
            _ = try socket.receive()
        }
        try await TestBench.run({ .http(at: $0, hosts: [.all()], clusters: [.fixed([origin.endpoint])]) }) { bench in
            let client = try bench.connect()
            try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            let head = try client.receiveText(until: "\r\n\r\n")
            #expect(head.hasPrefix("HTTP/1.1 101") && head.header("upgrade") == nil)
            #expect(bench.record()?.responseCode == 101)
        }
    }

    @Test("an idle upstream connection that its server closed is not used again")
    func closedIdle() async throws {
        let origin = try Origin { socket in
            _ = try socket.receiveMessage()
            try socket.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        }
        try await TestBench.run({ .http(at: $0, hosts: [.all()], clusters: [.fixed([origin.endpoint])]) }) { bench in
            let client = try bench.connect()
            for count in 1...3 {
                try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                #expect(try client.receiveMessage().head.hasPrefix("HTTP/1.1 200"))
                #expect(bench.becomes("cluster.target.upstream_cx_active", 0))
                #expect(bench.proxy.statistic("cluster.target.upstream_cx_total") == UInt64(count))
            }
        }
    }

    @Test("a gateway's chain appends the peer to x-forwarded-for and names itself istio-envoy")
    func gateway() async throws {
        let seen = Collector<String>()
        let origin = try Origin.http(seen: seen)
        let manager = HTTPConnectionManager(
            statPrefix: "outbound_0.0.0.0_8080", routeConfiguration: "http.80", serverName: "istio-envoy",
            usesRemoteAddress: true, requestHeadersToSet: [HeaderValue(name: "X-Envoy-Peer-Metadata-Id", value: "m")])
        try await TestBench.run({
            .http(
                at: $0, hosts: [.all()], clusters: [.fixed([origin.endpoint])], filters: [], manager: manager)
        }) { bench in
            let client = try bench.connect()
            try client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.0.0.9\r\n\r\n")
            #expect(try client.receiveMessage().head.header("server") == "istio-envoy")
            let request = try #require(seen.all.first)
            #expect(request.header("x-forwarded-for") == "10.0.0.9,127.0.0.1")
            #expect(request.header("x-envoy-peer-metadata-id") == "m")
            #expect(bench.record()?.xForwardedFor == "10.0.0.9,127.0.0.1")
        }
    }
}

extension String {
    /// A chunked body's content up to its last chunk.
    fileprivate func replacingChunkHeads() -> String {
        var result = ""
        var rest = self[...]
        while let end = rest.firstRange(of: "\r\n"), let size = Int(rest[..<end.lowerBound], radix: 16), size > 0 {
            result += rest[end.upperBound...].prefix(size)
            rest = rest[end.upperBound...].dropFirst(size + 1)
        }
        return result
    }
}
