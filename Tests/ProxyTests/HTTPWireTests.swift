import NetworkAddresses
import ProxyModel
import TestSupport
import Testing

@testable import Proxy

/// What real Envoy 1.40 sends upstream for the same bytes, recorded with a raw server behind it.
@Suite struct HTTPWireTests {
    struct Sample: Sendable, CustomTestStringConvertible {
        let name: String
        let request: String
        /// What follows the request line up to the fields that the proxy adds.
        let upstream: String
        var testDescription: String { name }

        init(_ name: String, _ request: String, _ upstream: String) {
            self.name = name
            self.request = request
            self.upstream = upstream
        }
    }

    static let added = "x-forwarded-proto: http\r\nx-request-id: ID\r\nx-envoy-attempt-count: 1\r\n"

    static let samples = [
        Sample("bare line feeds", "GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\r\nhost: a\r\n\(added)\r\n"),
        Sample(
            "tabs between words", "GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nhost: a\r\n\(added)\r\n"),
        Sample(
            "a fold", "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\nx: a b\r\n\(added)\r\n"),
        Sample(
            "a return inside a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\nx: ab\r\n\(added)\r\n"),
        Sample(
            "two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "GET / HTTP/1.1\r\nhost: a,b\r\n\(added)\r\n"),
        Sample(
            "userinfo", "GET http://u:p@a/x HTTP/1.1\r\nHost: b\r\n\r\n", "GET /x HTTP/1.1\r\nhost: a\r\n\(added)\r\n"),
        Sample(
            "a path to normalise", "GET /x/%2e%2e/a\\b/./%41%2F|?c=../d HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /a/b/A%2F%7C?c=../d HTTP/1.1\r\nhost: a\r\n\(added)\r\n"),
        Sample(
            "fields keep their places",
            "GET / HTTP/1.1\r\nX-Request-Id: q\r\nHost: a\r\nX-Forwarded-Proto: https\r\nB: 1\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\nx-request-id: q\r\nx-forwarded-proto: https\r\nb: 1\r\nx-envoy-attempt-count: 1\r\n\r\n"
        ),
        Sample(
            "what only trusted clients may ask for",
            "GET / HTTP/1.1\r\nHost: a\r\nX-Envoy-Max-Retries: 9\r\nX-Envoy-Internal: true\r\nX-Envoy-Foo: 1\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\nx-envoy-foo: 1\r\n\(added)\r\n"),
        Sample(
            "POST without a body", "POST / HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: a\r\n\(added)content-length: 0\r\n\r\n"),
        Sample(
            "an upgrade to h2c is ignored",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\n\(added)\r\n"),
    ]

    @Test("the upstream sees what Envoy would have sent", arguments: samples)
    func upstreamBytes(_ sample: Sample) async throws {
        let seen = Collector<String>()
        let origin = try Origin { socket in
            seen.add(try socket.receiveText(until: "\r\n\r\n"))
            try socket.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        }
        try await TestBench.run({
            .http(at: $0, hosts: [.all()], clusters: [.fixed([origin.endpoint])], filters: [])
        }) { bench in
            let client = try bench.connect()
            try client.send(sample.request)
            #expect(try client.receiveMessage().head.hasPrefix("HTTP/1.1 200"))
            let identifier = try #require(bench.record()?.requestID)
            #expect(seen.all.first?.replacing(identifier, with: identifier == "q" ? "q" : "ID") == sample.upstream)
        }
    }

    @Test("a websocket: the 101 with its fields, then bytes both ways; the client's end is DC")
    func websocket() async throws {
        let origin = try Origin { socket in
            let head = try socket.receiveText(until: "\r\n\r\n")
            guard head.header("upgrade") == "websocket", head.header("connection") == "Upgrade" else { return }
            try socket.send("HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            while true {
                let bytes = try socket.receive()
                if bytes.isEmpty { return }
                try socket.send(bytes)
            }
        }
        try await TestBench.run({ .http(at: $0, hosts: [.all()], clusters: [.fixed([origin.endpoint])]) }) { bench in
            let client = try bench.connect()
            try client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly")
            let head = try client.receiveText(until: "\r\n\r\n")
            #expect(head.hasPrefix("HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"))
            #expect(try client.receiveText(until: "early") == "early")
            try client.send("ping")
            #expect(try client.receiveText(until: "ping") == "ping")
            client.finishSending()
            let record = try #require(bench.record())
            #expect(record.responseCode == 101 && record.responseFlags == ["DC"])
            #expect(record.bytesReceived == 9 && record.bytesSent == 9)
        }
    }

    @Test("an upgrade that is answered with 200 failed")
    func refusedUpgrade() async throws {
        let origin = try Origin.http()
        try await TestBench.run({ .http(at: $0, hosts: [.all()], clusters: [.fixed([origin.endpoint])]) }) { bench in
            let client = try bench.connect()
            try client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            let answer = try client.receiveMessage()
            #expect(answer.head.header("connection") == "close" && answer.body.isEmpty)
            #expect(bench.record()?.responseCodeDetails == "websocket_handshake_unsuccessful")
        }
    }

    @Test("gRPC clients get the proxy's own answers in their form")
    func grpcReply() async throws {
        try await TestBench.run({
            .http(at: $0, hosts: [.all(retries: .istio)], clusters: [.fixed([Origin.refusing()])])
        }) { bench in
            let client = try bench.connect()
            try client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\n\r\n")
            let head = try client.receiveMessage().head
            #expect(head.hasPrefix("HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ngrpc-status: 14\r\n"))
            #expect(bench.record()?.responseFlags == ["URX", "UF"])
        }
    }
}
