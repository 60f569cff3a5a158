import NIOCore
import NIOHPACK
import NIOHTTP2
import NetworkAddresses
import ProxyModel
import TestSupport
import Testing

@testable import Proxy

/// HTTP/2 on either side of the proxy.
@Suite struct HTTP2ProxyTests {
    private func http2(_ endpoint: IPEndpoint) -> Cluster {
        var cluster = Cluster.fixed([endpoint])
        cluster.httpProtocolOptions = .http2
        return cluster
    }

    @Test("clients of HTTP/1.1 share one HTTP/2 connection to a cluster that says so")
    func upstream() async throws {
        let origin = try await HTTP2Origin { message in
            let head = [":method", ":path", ":authority"].map { message[$0] ?? "" }.joined(separator: " ")
            return .text("\(head) \(message.text)")
        }
        try await TestBench.run({ .http(at: $0, hosts: [.all()], clusters: [http2(origin.endpoint)]) }) { bench in
            let client = try bench.connect()
            try client.send("GET /a HTTP/1.1\r\nHost: one\r\n\r\n")
            #expect(try client.receiveMessage().body == "GET /a one ")
            try client.send("POST /b HTTP/1.1\r\nHost: two\r\nContent-Length: 4\r\n\r\nbody")
            #expect(try client.receiveMessage().body == "POST /b two body")
            let other = try bench.connect()
            try other.send("POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n")
            #expect(try other.receiveMessage().body == "POST /c x ab")
            #expect(bench.proxy.statistic("cluster.target.upstream_cx_total") == 1)
            #expect(bench.proxy.statistic("cluster.target.upstream_rq_total") == 3)
            let record = try #require(bench.record(1))
            #expect(record.protocol == "HTTP/1.1")
            #expect(record.upstreamHost == origin.endpoint)
            #expect(record.upstreamLocalAddress == bench.connecting()?.local)
        }
        try await origin.stop()
    }

    @Test("bytes that are not UTF-8 reach an HTTP/2 upstream as U+FFFD")
    func notUTF8() async throws {
        let origin = try await HTTP2Origin { .text($0["x"] ?? "none") }
        try await TestBench.run({ .http(at: $0, hosts: [.all()], clusters: [http2(origin.endpoint)]) }) { bench in
            let client = try bench.connect()
            try client.send(Array("GET / HTTP/1.1\r\nHost: a\r\nX: a".utf8) + [0xE4] + Array("b\r\n\r\n".utf8))
            #expect(try client.receiveMessage().body == "a\u{FFFD}b")
        }
        try await origin.stop()
    }

    @Test("an HTTP/2 client by prior knowledge: streams side by side, logged as HTTP/2")
    func downstream() async throws {
        let origin = try Origin.http("hello")
        try await TestBench.run({ .http(at: $0, hosts: [.all()], clusters: [.fixed([origin.endpoint])]) }) { bench in
            let client = try await HTTP2Client(to: bench.address)
            async let first = client.send("GET", "/1")
            async let second = client.send("POST", "/2", body: ByteBuffer(string: "data"))
            async let third = client.send("HEAD", "/3")
            let answers = try await [first, second, third]
            #expect(answers.map { $0[":status"] } == ["200", "200", "200"])
            #expect(answers.map(\.text) == ["hello", "hello", ""])
            #expect(answers[0]["server"] == "istio-envoy" || answers[0]["server"] == "envoy")
            #expect(bench.record()?.protocol == "HTTP/2")
            #expect(bench.proxy.statistic("http.outbound_0.0.0.0_80.downstream_cx_total") == 1)
            #expect(bench.proxy.statistic("http.outbound_0.0.0.0_80.downstream_rq_total") == 3)
            try await client.close()
            #expect(bench.closed())
        }
    }

    @Test("a call of gRPC: trailers pass both ways")
    func trailers() async throws {
        let origin = try await HTTP2Origin { message in
            .text("reply to \(message.text)", trailers: ["grpc-status": message.trailers?.first(name: "t") ?? "-"])
        }
        try await TestBench.run({ .http(at: $0, hosts: [.all()], clusters: [http2(origin.endpoint)]) }) { bench in
            let client = try await HTTP2Client(to: bench.address)
            let answer = try await client.send(
                "POST", "/s/M", fields: ["content-type": "application/grpc", "te": "trailers"],
                body: ByteBuffer(string: "call"), trailers: ["t": "0"])
            #expect(answer.text == "reply to call")
            #expect(answer.trailers?.first(name: "grpc-status") == "0")
            #expect(answer.reset == nil)
            try await client.close()
        }
        try await origin.stop()
    }

    @Test("a proxy's own answer to a gRPC call is a head with grpc-status")
    func grpcReply() async throws {
        try await TestBench.run({ .http(at: $0, hosts: [.all()], clusters: [.fixed([])]) }) { bench in
            let client = try await HTTP2Client(to: bench.address)
            let answer = try await client.send(
                "POST", "/s/M", fields: ["content-type": "application/grpc"], body: ByteBuffer(string: "call"))
            #expect(answer[":status"] == "200")
            #expect(answer["grpc-status"] == "14")
            #expect(answer["grpc-message"] == "no healthy upstream")
            #expect(bench.record()?.responseFlags == ["UH"])
            try await client.close()
        }
    }

    @Test("bodies far larger than any window pass unharmed through two proxies")
    func largeBodies() async throws {
        let size = 3_000_000
        let origin = try await HTTP2Origin { message in
            [
                .headers(.init(headers: [":status": "200"])),
                .data(.init(data: .byteBuffer(message.body), endStream: true)),
            ]
        }
        try await TestBench.run({ .http(at: $0, hosts: [.all()], clusters: [http2(origin.endpoint)]) }) { inner in
            try await TestBench.run({ .http(at: $0, hosts: [.all()], clusters: [http2(inner.address)]) }) { outer in
                let client = try await HTTP2Client(to: outer.address)
                let bytes = ByteBuffer(bytes: (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) })
                let answer = try await client.send("POST", body: bytes)
                #expect(answer.body == bytes)
                #expect(answer.reset == nil)
                #expect(inner.record()?.protocol == "HTTP/2")
                #expect(inner.record()?.bytesReceived == UInt64(size))
                #expect(outer.record()?.bytesSent == UInt64(size))
                try await client.close()
            }
        }
        try await origin.stop()
    }

    @Test("a stream that the upstream resets is 503 UR, one that it refuses is sent again")
    func resets() async throws {
        let seen = Collector<String>()
        let origin = try await HTTP2Origin { message in
            seen.add(message[":path"] ?? "")
            if message[":path"] == "/reset" { return [.rstStream(.internalError)] }
            return seen.all.count { $0 == "/refuse" } == 1 ? [.rstStream(.refusedStream)] : .text("taken")
        }
        try await TestBench.run({
            .http(at: $0, hosts: [.all(retries: .istio)], clusters: [http2(origin.endpoint)])
        }) { bench in
            let client = try bench.connect()
            try client.send("GET /reset HTTP/1.1\r\nHost: a\r\n\r\n")
            let answer = try client.receiveMessage()
            #expect(answer.head.hasPrefix("HTTP/1.1 503"))
            #expect(answer.body.hasSuffix("reset reason: remote reset"))
            #expect(bench.record()?.responseFlags == ["UR"])
            try client.send("GET /refuse HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(try client.receiveMessage().body == "taken")
            #expect(bench.proxy.statistic("cluster.target.upstream_rq_retry") == 1)
            #expect(bench.proxy.statistic("cluster.target.upstream_cx_total") == 1)
        }
        try await origin.stop()
    }

    @Test("a connection that ends, or says GOAWAY, is replaced")
    func replacement() async throws {
        let origin = try await HTTP2Origin { _ in .text("ok") }
        try await TestBench.run({ .http(at: $0, hosts: [.all()], clusters: [http2(origin.endpoint)]) }) { bench in
            let client = try bench.connect()
            for count in 1...3 {
                try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                #expect(try client.receiveMessage().body == "ok")
                #expect(bench.proxy.statistic("cluster.target.upstream_cx_total") == UInt64(count))
                if count == 1 { origin.goAway() } else { origin.closeConnections() }
                #expect(bench.becomes("cluster.target.upstream_cx_active", 0))
            }
        }
        try await origin.stop()
    }

    @Test("an upstream that can't be reached is 503 UF for all who wait")
    func refused() async throws {
        try await TestBench.run({
            .http(at: $0, hosts: [.all()], clusters: [http2(Origin.refusing())])
        }) { bench in
            let client = try await HTTP2Client(to: bench.address)
            async let first = client.send()
            async let second = client.send()
            #expect(try await [first, second].map { $0[":status"] } == ["503", "503"])
            #expect(bench.record(1)?.responseFlags == ["UF"])
            try await client.close()
        }
    }

    @Test("an upstream that does not speak HTTP/2 is 502 UPE")
    func protocolError() async throws {
        // What an echo sends back is no frame.
        let origin = try Origin.echo()
        try await TestBench.run({ .http(at: $0, hosts: [.all()], clusters: [http2(origin.endpoint)]) }) { bench in
            let client = try bench.connect()
            try client.send("GET / HTTP/1.1\r\nHost: one\r\n\r\n")
            #expect(try client.receiveMessage().body.hasSuffix("reset reason: protocol error"))
            let record = try #require(bench.record())
            #expect(record.responseCode == 502 && record.responseFlags == ["UPE"])
        }
    }

    @Test("a client that resets its stream is DR, and its request is given up")
    func clientReset() async throws {
        let asked = Collector<String>()
        let origin = try Origin { socket in
            while case let bytes = try socket.receive(), !bytes.isEmpty { asked.add("\(bytes.count) bytes") }
        }
        try await TestBench.run({ .http(at: $0, hosts: [.all()], clusters: [.fixed([origin.endpoint])]) }) { bench in
            let client = try await HTTP2Client(to: bench.address)
            // Before that its connection may still be on its way, and then it is kept for others, as in Envoy.
            _ = try await client.send(cancelsWhen: { #expect(asked.wait { $0.first } != nil) })
            let record = try #require(bench.record())
            #expect(record.responseFlags == ["DR"])
            #expect(record.responseCodeDetails == "http2.remote_reset")
            #expect(bench.becomes("cluster.target.upstream_cx_active", 0))
            try await client.close()
        }
    }

    @Test("more requests than a connection may carry get another connection")
    func concurrency() async throws {
        let origin = try await HTTP2Origin(maxConcurrentStreams: 1) { message in
            message[":path"] == "/warm" ? .text("") : .text("ok")
        }
        try await TestBench.run({ .http(at: $0, hosts: [.all()], clusters: [http2(origin.endpoint)]) }) { bench in
            let client = try await HTTP2Client(to: bench.address)
            _ = try await client.send("GET", "/warm")
            async let first = client.send()
            async let second = client.send()
            #expect(try await [first, second].map(\.text) == ["ok", "ok"])
            try await client.close()
        }
        try await origin.stop()
    }

    @Test("use_downstream_protocol_config: as the request came")
    func downstreamProtocol() async throws {
        let origin = try await HTTP2Origin { _ in .text("two") }
        let plain = try Origin.http("one")
        for (endpoint, body) in [(origin.endpoint, "two"), (plain.endpoint, "one")] {
            var cluster = Cluster.fixed([endpoint])
            cluster.httpProtocolOptions = .useDownstreamProtocol
            let model = cluster
            try await TestBench.run({ .http(at: $0, hosts: [.all()], clusters: [model]) }) { bench in
                if body == "two" {
                    let client = try await HTTP2Client(to: bench.address)
                    #expect(try await client.send().text == "two")
                    try await client.close()
                } else {
                    let client = try bench.connect()
                    try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                    #expect(try client.receiveMessage().body == "one")
                }
            }
        }
        try await origin.stop()
    }
}
