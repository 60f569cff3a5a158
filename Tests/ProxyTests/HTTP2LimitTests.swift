import Foundation
import NIOCore
import NIOHPACK
import NIOHTTP2
import NetworkAddresses
import ProxyModel
import TestSupport
import Testing

@testable import Proxy

/// What HTTP/2 allows at a time, upstream and down; as observed of Envoy 1.40.
@Suite(.serialized) struct HTTP2LimitTests {
    private func run(
        _ origin: HTTP2Origin, _ change: (inout Cluster) -> Void, _ body: (TestBench) async throws -> Void
    ) async throws {
        var cluster = Cluster.fixed([origin.endpoint])
        cluster.httpProtocolOptions = .http2
        change(&cluster)
        try await TestBench.run({ .http(at: $0, hosts: [.all()], clusters: [cluster]) }, body)
        try await origin.stop()
    }

    private func get(_ bench: TestBench) throws -> String {
        let client = try bench.connect()
        try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        return try client.receiveMessage().body
    }

    @Test("a connection serves so many requests and no more")
    func perConnection() async throws {
        try await run(try await HTTP2Origin { _ in .text("hi") }, { $0.maxRequestsPerConnection = 2 }) { bench in
            let answers = try (0..<5).map { _ in try get(bench) }
            #expect(answers == Array(repeating: "hi", count: 5))
            #expect(bench.proxy.statistic("cluster.target.upstream_cx_total") == 3)
            #expect(bench.proxy.statistic("cluster.target.upstream_cx_max_requests") == 2)
        }
    }

    @Test("with one connection of one stream the second request waits for it and the third finds no room")
    func pending() async throws {
        let gate = DispatchSemaphore(value: 0)
        let asked = Collector<String>()
        let origin = try await HTTP2Origin { message in
            asked.add(message[":path"] ?? "")
            _ = gate.wait(timeout: .now() + 8)
            return .text("hi")
        }
        let limits = CircuitBreakers(maxConnections: 1, maxPendingRequests: 1)
        try await run(
            origin,
            {
                $0.circuitBreakers = limits
                $0.maxConcurrentStreams = 1
            }
        ) { bench in
            let clients = try (0..<3).map { _ in try bench.connect() }
            try clients[0].send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(asked.wait { $0.first } == "/1")
            try clients[1].send("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(bench.becomes("cluster.target.upstream_cx_overflow", 1))
            try clients[2].send("GET /3 HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(try clients[2].receiveMessage().head.hasPrefix("HTTP/1.1 503 "))
            #expect(bench.record()?.responseFlags == ["UO"])
            gate.signal()
            gate.signal()
            #expect(try clients[0].receiveMessage().body == "hi")
            #expect(try clients[1].receiveMessage().body == "hi")
            #expect(bench.proxy.statistic("cluster.target.upstream_cx_total") == 1)
            #expect(bench.proxy.statistic("cluster.target.upstream_rq_pending_overflow") == 1)
        }
    }

    @Test("requests that wait for one connection share it")
    func shared() async throws {
        try await run(
            try await HTTP2Origin { _ in .text("hi") }, { $0.circuitBreakers = CircuitBreakers(maxConnections: 1) }
        ) { bench in
            let clients = try (0..<6).map { _ in try bench.connect() }
            for client in clients { try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n") }
            for client in clients { #expect(try client.receiveMessage().body == "hi") }
            #expect(bench.proxy.statistic("cluster.target.upstream_cx_total") == 1)
        }
    }

    @Test("a kept connection without streams is closed")
    func idle() async throws {
        try await run(try await HTTP2Origin { _ in .text("hi") }, { $0.idleTimeoutMs = 150 }) { bench in
            let answer = try get(bench)
            #expect(answer == "hi")
            #expect(bench.becomes("cluster.target.upstream_cx_idle_timeout", 1))
            #expect(bench.becomes("cluster.target.upstream_cx_active", 0))
        }
    }

    @Test("a client's head that is too large, or has too many fields, resets its stream alone")
    func requestHeads() async throws {
        let origin = try Origin.http()
        try await TestBench.run({ .http(at: $0, hosts: [.all()], clusters: [.fixed([origin.endpoint])]) }) { bench in
            let client = try await HTTP2Client(to: bench.address)
            // NIO sends a large head only once the peer has said that it takes one.
            let first = try await client.send()
            #expect(first[":status"] == "200")
            let large = try await client.send(fields: ["x": String(repeating: "y", count: 62_000)])
            #expect(large.reset == .internalError)
            var fields = HPACKHeaders()
            for index in 0..<97 { fields.add(name: "x\(index)", value: "1") }
            let many = try await client.send(fields: fields)
            #expect(many.reset == .internalError)
            #expect(bench.record(1)?.responseCodeDetails == "http2.header_list_size_too_large")
            let record = try #require(bench.record(2))
            #expect(record.responseFlags == ["DR"] && record.responseCode == 0)
            #expect(record.responseCodeDetails == "http2.too_many_headers")
            let right = try await client.send(fields: ["x": String(repeating: "y", count: 30_000)])
            #expect(right[":status"] == "200")
            try await client.close()
        }
    }

    @Test("a client's head beyond 64 KiB ends its connection without a line of log")
    func hugeHead() async throws {
        let origin = try Origin.http()
        try await TestBench.run({ .http(at: $0, hosts: [.all()], clusters: [.fixed([origin.endpoint])]) }) { bench in
            let client = try await HTTP2Client(to: bench.address)
            let first = try await client.send()
            #expect(first[":status"] == "200")
            let huge = try await client.send(fields: ["x": String(repeating: "y", count: 70_000)])
            #expect(huge.reset != nil)
            #expect(bench.closed())
            #expect(bench.proxy.accessLogRecords().count == 1)
        }
    }

    @Test("a head of more than 16 KiB to a server that takes no frame of that size ends at once: UPE")
    func headBeyondFrame() async throws {
        try await run(try await HTTP2Origin { _ in .text("hi") }, { _ in }) { bench in
            let client = try bench.connect()
            let value = String(repeating: "y", count: 30_000)
            try client.send("GET / HTTP/1.1\r\nHost: a\r\nX: \(value)\r\n\r\n")
            #expect(try client.receiveMessage().head.hasPrefix("HTTP/1.1 502 "))
            #expect(bench.record()?.responseFlags == ["UPE"])
            let next = try get(bench)
            #expect(next == "hi")
        }
    }

    @Test("a request to go on with another protocol is none for HTTP/2: UC")
    func upgrade() async throws {
        try await run(try await HTTP2Origin { _ in .text("hi") }, { _ in }) { bench in
            let client = try bench.connect()
            try client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            #expect(try client.receiveMessage().head.hasPrefix("HTTP/1.1 503 "))
            let record = try #require(bench.record())
            #expect(record.responseFlags == ["UC"])
            #expect(record.responseCodeDetails == "upstream_reset_before_response_started{connection_termination}")
        }
    }
}
