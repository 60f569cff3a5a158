import Foundation
import NetworkAddresses
import ProxyModel
import TestSupport
import Testing

@testable import Proxy

/// What was observed of Envoy 1.40 with the same limits.
@Suite struct TimeLimitTests {
    private static func tcp(
        _ origin: Origin, idleMs: Int? = nil, durationMs: Int? = nil, _ body: (TestBench) async throws -> Void
    ) async throws {
        let proxy = TCPProxy(
            statPrefix: "target", clusters: [WeightedCluster(name: "target")], idleTimeoutMs: idleMs,
            maxDownstreamConnectionDurationMs: durationMs)
        try await TestBench.run(
            { address in
                var configuration = ProxyConfiguration.tcp(at: address, to: .fixed([origin.endpoint]))
                configuration.listeners[0].filterChains[0].filter = .tcpProxy(proxy)
                return configuration
            }, body)
    }

    private static func http(
        _ origin: Origin, _ change: (inout Cluster) -> Void, _ body: (TestBench) async throws -> Void
    ) async throws {
        var cluster = Cluster.fixed([origin.endpoint])
        change(&cluster)
        try await TestBench.run({ .http(at: $0, hosts: [.all()], clusters: [cluster]) }, body)
    }

    private static func expectAnswer(_ text: String, _ bench: TestBench) throws {
        let client = try bench.connect()
        try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(try client.receiveMessage().body == text)
    }

    private static func pause(seconds: Double) { Thread.sleep(forTimeInterval: seconds) }

    @Test("a client's connection without a request is closed after a while, not while an answer is awaited")
    func clientIdle() async throws {
        let origin = try Origin { socket in
            while true {
                if try socket.receiveMessage().head.isEmpty { return }
                Self.pause(seconds: 0.5)
                try socket.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            }
        }
        var manager = HTTPConnectionManager(statPrefix: "outbound_0.0.0.0_80", routeConfiguration: "80")
        manager.idleTimeoutMs = 200
        try await TestBench.run({
            .http(at: $0, hosts: [.all()], clusters: [.fixed([origin.endpoint])], manager: manager)
        }) { bench in
            let client = try bench.connect()
            try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(try client.receiveMessage().body == "ok")
            #expect(client.receivesNothing)
            #expect(bench.proxy.statistic("http.outbound_0.0.0.0_80.downstream_cx_idle_timeout") == 1)
        }
    }

    @Test("a relayed connection on which nothing moves is closed, not one on which bytes trickle")
    func idle() async throws {
        try await Self.tcp(try Origin.echo(), idleMs: 400) { bench in
            let client = try bench.connect()
            let began = Date()
            for _ in 0..<4 {
                // Not a task's sleep, which also waits for tests that hold the threads of all tasks.
                Self.pause(seconds: 0.15)
                try client.send("x")
                #expect(try client.receive() == Array("x".utf8))
            }
            #expect(client.receivesNothing)
            #expect(Date().timeIntervalSince(began) >= 1)
            let record = try #require(bench.record())
            #expect(record.responseFlags == [] && record.bytesSent == 4 && record.bytesReceived == 4)
            #expect(bench.proxy.statistic("tcp.target.idle_timeout") == 1)
            #expect(bench.becomes("cluster.target.upstream_cx_active", 0))
        }
    }

    @Test("a relayed connection ends when its time is over, however busy it is: DT")
    func duration() async throws {
        try await Self.tcp(try Origin.echo(), durationMs: 300) { bench in
            let client = try bench.connect()
            try client.send("x")
            #expect(try client.receiveAll() == Array("x".utf8))
            let record = try #require(bench.record())
            #expect(record.responseFlags == ["DT"] && record.durationMs >= 300)
            #expect(bench.proxy.statistic("tcp.target.max_downstream_connection_duration") == 1)
        }
    }

    @Test("a kept connection without requests is closed")
    func keptIdle() async throws {
        try await Self.http(try Origin.http(), { $0.idleTimeoutMs = 150 }) { bench in
            try Self.expectAnswer("hello", bench)
            #expect(bench.becomes("cluster.target.upstream_cx_active", 0))
            #expect(bench.proxy.statistic("cluster.target.upstream_cx_idle_timeout") == 1)
            try Self.expectAnswer("hello", bench)
            #expect(bench.proxy.statistic("cluster.target.upstream_cx_total") == 2)
        }
    }

    @Test("a request that takes longer than the idle time is answered")
    func busy() async throws {
        let origin = try Origin { socket in
            while !(try socket.receiveMessage().head.isEmpty) {
                Thread.sleep(forTimeInterval: 0.4)
                try socket.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")
            }
        }
        try await Self.http(origin, { $0.idleTimeoutMs = 100 }) { bench in
            try Self.expectAnswer("late", bench)
            #expect(bench.becomes("cluster.target.upstream_cx_idle_timeout", 1))
        }
    }

    @Test("a connection whose time is over ends with its request, and takes no other")
    func keptDuration() async throws {
        let origin = try Origin { socket in
            while !(try socket.receiveMessage().head.isEmpty) {
                Thread.sleep(forTimeInterval: 0.4)
                try socket.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")
            }
        }
        try await Self.http(origin, { $0.maxConnectionDurationMs = 200 }) { bench in
            try Self.expectAnswer("late", bench)
            #expect(bench.becomes("cluster.target.upstream_cx_active", 0))
            #expect(bench.proxy.statistic("cluster.target.upstream_cx_max_duration_reached") == 1)
            try Self.expectAnswer("late", bench)
            #expect(bench.proxy.statistic("cluster.target.upstream_cx_total") == 2)
        }
    }
}
