import Foundation
import NIOCore
import NIOEmbedded
import NetworkAddresses
import ProxyModel
import TestSupport
import Testing

@testable import Proxy

/// What was observed of Envoy 1.40 with the same settings; `scenarios/routing/outlier-detection` has more.
@Suite struct OutlierDetectionTests {
    private static func run(
        _ detection: OutlierDetection,
        _ body: (TestBench, Cluster, @escaping (String) throws -> String) async throws -> Void
    ) async throws {
        let origin = try Origin { socket in
            while true {
                let message = try socket.receiveMessage()
                if message.head.isEmpty { return }
                let status = message.head.split(separator: " ")[1].dropFirst()
                try socket.send("HTTP/1.1 \(status) X\r\nContent-Length: 0\r\n\r\n")
            }
        }
        var cluster = Cluster.fixed([origin.endpoint])
        cluster.outlierDetection = detection
        try await TestBench.run({ .http(at: $0, hosts: [.all()], clusters: [cluster]) }) { bench in
            try await body(bench, cluster) { status in
                let client = try bench.connect()
                try client.send("GET /\(status) HTTP/1.1\r\nHost: a\r\n\r\n")
                return String(try client.receiveMessage().head.split(separator: " ")[1])
            }
        }
    }

    @Test("an ejected host comes back when its time is over, and is ejected for longer the next time")
    func readmission() async throws {
        let detection = OutlierDetection(
            consecutive5xx: 2, intervalMs: 20, baseEjectionTimeMs: 100, maxEjectionPercent: 100)
        try await Self.run(detection) { bench, _, ask in
            let prefix = "cluster.target.outlier_detection.ejections_"
            for round in 1...2 {
                let failures = try [ask("500"), ask("500")]
                #expect(failures == ["500", "500"])
                #expect(bench.proxy.statistic(prefix + "enforced_total") == UInt64(round))
                let began = Date()
                #expect(bench.becomes(prefix + "active", 0))
                // Meanwhile one interval may have counted in the host's favour.
                #expect(Date().timeIntervalSince(began) >= 0.08)
            }
            #expect(try ask("200") == "200")
        }
    }

    @Test("while a host is ejected it gets nothing, and its requests are told that nobody is there")
    func ejection() async throws {
        let detection = OutlierDetection(consecutive5xx: 2, maxEjectionPercent: 100)
        try await Self.run(detection) { bench, _, ask in
            #expect(try [ask("500"), ask("200"), ask("500"), ask("502")] == ["500", "200", "500", "502"])
            #expect(try ask("200") == "503")
            let record = try #require(bench.record(4))
            #expect(record.responseFlags == ["UH"] && record.responseCodeDetails == "no_healthy_upstream")
        }
    }

    @Test("a changed configuration begins anew")
    func change() async throws {
        let detection = OutlierDetection(consecutive5xx: 1, maxEjectionPercent: 100)
        try await Self.run(detection) { bench, cluster, ask in
            #expect(try [ask("500"), ask("200")] == ["500", "503"])
            var cluster = cluster
            cluster.outlierDetection = nil
            try await bench.proxy.update(.http(at: bench.address, hosts: [.all()], clusters: [cluster]))
            #expect(try ask("200") == "200")
            #expect(bench.becomes("cluster.target.outlier_detection.ejections_active", 0))
        }
    }

    @Test("an address that nobody has dialled for an interval is forgotten, one with connections is not")
    func forgotten() throws {
        let loop = EmbeddedEventLoop()
        var forgotten: [UpstreamHost] = []
        let hosts = OriginalHosts(loop: loop, interval: .seconds(5)) { forgotten.append($0) }
        let (idle, busy) = try (
            hosts.host(at: #require(IPEndpoint("192.0.2.1:80"))), hosts.host(at: #require(IPEndpoint("192.0.2.2:80")))
        )
        busy.active = 1
        loop.advanceTime(by: .seconds(5))
        #expect(forgotten.isEmpty && hosts.hosts.count == 2)
        loop.advanceTime(by: .seconds(5))
        #expect(forgotten.count == 1 && forgotten.first === idle)
        #expect(hosts.hosts.count == 1 && hosts.hosts.first === busy)
        #expect(try hosts.host(at: #require(IPEndpoint("192.0.2.1:80"))) !== idle)
        hosts.retire()
        #expect(hosts.hosts.isEmpty && forgotten.count == 3)
    }
}
