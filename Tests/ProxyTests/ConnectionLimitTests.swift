import Foundation
import Proxy
import ProxyModel
import TestSupport
import Testing

/// What was observed of Envoy 1.40 with the same thresholds.
@Suite struct ConnectionLimitTests {
    /// Answers each request when the gate opens once more.
    private static func gated(_ gate: DispatchSemaphore, seen: Collector<String> = Collector()) throws -> Origin {
        try Origin { socket in
            while true {
                let message = try socket.receiveMessage()
                if message.head.isEmpty { return }
                seen.add(message.head)
                guard gate.wait(timeout: .now() + 8) == .success else { return }
                try socket.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
            }
        }
    }

    private static func run(
        _ origin: Origin, _ breakers: CircuitBreakers?, perConnection: Int? = nil, retries: RetryPolicy? = nil,
        _ body: (TestBench) async throws -> Void
    ) async throws {
        var cluster = Cluster.fixed([origin.endpoint])
        cluster.circuitBreakers = breakers
        cluster.maxRequestsPerConnection = perConnection
        try await TestBench.run(
            { .http(at: $0, hosts: [.all(retries: retries)], clusters: [cluster]) }, body)
    }

    private static func ask(_ bench: TestBench, _ path: String = "/") throws -> BlockingSocket {
        let client = try bench.connect()
        try client.send("GET \(path) HTTP/1.1\r\nHost: a\r\n\r\n")
        return client
    }

    @Test("with one connection, the second request waits for it and the third finds no room")
    func pending() async throws {
        let (gate, seen) = (DispatchSemaphore(value: 0), Collector<String>())
        let origin = try Self.gated(gate, seen: seen)
        try await Self.run(origin, CircuitBreakers(maxConnections: 1, maxPendingRequests: 1)) { bench in
            let first = try Self.ask(bench)
            #expect(seen.wait { $0.first } != nil)
            let second = try Self.ask(bench)
            #expect(bench.becomes("cluster.target.upstream_cx_overflow", 1))
            let refused = try Self.ask(bench).receiveMessage()
            #expect(refused.head.hasPrefix("HTTP/1.1 503 Service Unavailable\r\nx-envoy-overloaded: true\r\n"))
            #expect(
                refused.body == "upstream connect error or disconnect/reset before headers. reset reason: overflow")
            let record = try #require(bench.record())
            #expect(record.responseFlags == ["UO"] && record.upstreamHost == nil)
            #expect(record.responseCodeDetails == "upstream_reset_before_response_started{overflow}")
            gate.signal()
            #expect(try first.receiveMessage().body == "hi")
            gate.signal()
            #expect(try second.receiveMessage().body == "hi")
            #expect(bench.record(2)?.upstreamLocalAddress == bench.record(1)?.upstreamLocalAddress)
            #expect(bench.proxy.statistic("cluster.target.upstream_cx_total") == 1)
            #expect(bench.proxy.statistic("cluster.target.upstream_rq_pending_overflow") == 1)
        }
    }

    @Test("a request whose turn comes after the connection ended gets a new one; those who leave make room")
    func wokenByClose() async throws {
        let (gate, seen) = (DispatchSemaphore(value: 0), Collector<String>())
        let origin = try Origin { socket in
            seen.add(try socket.receiveMessage().head)
            guard gate.wait(timeout: .now() + 8) == .success else { return }
            try socket.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi")
        }
        try await Self.run(origin, CircuitBreakers(maxConnections: 1)) { bench in
            let first = try Self.ask(bench)
            #expect(seen.wait { $0.first } != nil)
            let leaving = try Self.ask(bench, "/leaving")
            #expect(bench.becomes("cluster.target.upstream_cx_overflow", 1))
            let third = try Self.ask(bench, "/third")
            #expect(bench.becomes("cluster.target.upstream_cx_overflow", 2))
            leaving.close()
            #expect(bench.record()?.responseFlags == ["DC"])
            gate.signal()
            gate.signal()
            #expect(try first.receiveMessage().body == "hi")
            #expect(try third.receiveMessage().body == "hi")
            #expect(seen.all.count == 2 && bench.proxy.statistic("cluster.target.upstream_cx_total") == 2)
        }
    }

    @Test("a limit of requests leaves the connection that was made for one too many")
    func requests() async throws {
        let (gate, seen) = (DispatchSemaphore(value: 0), Collector<String>())
        let origin = try Self.gated(gate, seen: seen)
        try await Self.run(origin, CircuitBreakers(maxRequests: 1)) { bench in
            let first = try Self.ask(bench)
            #expect(seen.wait { $0.first } != nil)
            let refused = try Self.ask(bench).receiveMessage()
            #expect(refused.head.header("x-envoy-overloaded") == "true")
            #expect(bench.record()?.responseFlags == ["UO"] && bench.record()?.upstreamHost == origin.endpoint)
            gate.signal()
            #expect(try first.receiveMessage().body == "hi")
            #expect(bench.proxy.statistic("cluster.target.upstream_cx_total") == 2)
            #expect(bench.proxy.statistic("cluster.target.upstream_rq_active_overflow") == 1)
            #expect(bench.proxy.statistic("cluster.target.upstream_rq_total") == 1)
        }
    }

    @Test("a request that too many others are tried again for keeps its first answer")
    func retries() async throws {
        let (gate, second) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        let seen = Collector<String>()
        let origin = try Origin { socket in
            while true {
                let message = try socket.receiveMessage()
                if message.head.isEmpty { return }
                seen.add(message.head)
                let gate = message.head.contains("/second") ? second : gate
                guard gate.wait(timeout: .now() + 8) == .success else { return }
                try socket.send("HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nhi")
            }
        }
        let policy = RetryPolicy(retryOn: ["5xx"], numRetries: 1, baseIntervalMs: 1)
        try await Self.run(origin, CircuitBreakers(maxRetries: 1), retries: policy) { bench in
            let first = try Self.ask(bench, "/first")
            #expect(seen.wait { $0.first } != nil)
            gate.signal()
            #expect(bench.becomes("cluster.target.upstream_rq_retry", 1))
            #expect(seen.wait { $0.count == 2 ? true : nil } != nil)
            // While the first request is being tried again, the second is not.
            let other = try Self.ask(bench, "/second")
            second.signal()
            #expect(try other.receiveMessage().body == "hi")
            #expect(bench.record()?.responseFlags == ["UO"])
            #expect(bench.record()?.responseCodeDetails == "via_upstream")
            gate.signal()
            #expect(try first.receiveMessage().body == "hi")
            #expect(bench.record(1)?.responseFlags == ["URX"])
            #expect(bench.proxy.statistic("cluster.target.upstream_rq_retry_overflow") == 1)
        }
    }

    @Test("a connection serves so many requests and no more")
    func perConnection() async throws {
        let origin = try Origin.http()
        try await Self.run(origin, nil, perConnection: 2) { bench in
            let client = try bench.connect()
            for _ in 0..<5 {
                try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                #expect(try client.receiveMessage().body == "hello")
            }
            #expect(bench.proxy.statistic("cluster.target.upstream_cx_total") == 3)
            #expect(bench.proxy.statistic("cluster.target.upstream_cx_max_requests") == 2)
        }
    }

    @Test("one TCP connection too many is closed with UO")
    func tcp() async throws {
        let origin = try Origin.echo()
        var cluster = Cluster.fixed([origin.endpoint])
        cluster.circuitBreakers = CircuitBreakers(maxConnections: 1)
        try await TestBench.run({ .tcp(at: $0, to: cluster) }) { bench in
            let first = try bench.connect()
            try first.send("a")
            #expect(try first.receive().isEmpty == false)
            let second = try bench.connect()
            #expect(bench.record()?.responseFlags == ["UO"] && bench.record()?.upstreamHost == nil)
            second.close()
            first.close()
            #expect(bench.becomes("cluster.target.upstream_cx_active", 0))
            let third = try bench.connect()
            try third.send("b")
            #expect(try third.receive().isEmpty == false)
            #expect(bench.proxy.statistic("cluster.target.upstream_cx_overflow") == 1)
        }
    }
}
