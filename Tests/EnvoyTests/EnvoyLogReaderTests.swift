import Foundation
import NetworkAddresses
import ProxyModel
import Testing

@testable import Envoy

/// `Goldens/access-log-lines.jsonl` is what Envoy 1.40 wrote for one connection or request of each kind, without the
/// members that were null.
@Suite struct EnvoyLogReaderTests {
    private func lines() throws -> [String] {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appending(path: "Goldens/access-log-lines.jsonl")
        return try String(contentsOf: file, encoding: .utf8).split(separator: "\n").map(String.init)
    }

    private let configuration: ProxyConfiguration = {
        var tcp = EnvoySamples.tcp(9001, to: "good", origin: "the chain")
        tcp.origin = "the listener"
        var unmatched = EnvoySamples.tcp(9006, to: "good")
        unmatched.origin = "the listener on 9006"
        return EnvoySamples.configuration(
            [tcp, EnvoySamples.tcp(9002, to: "refused"), unmatched, EnvoySamples.http(9005)],
            clusters: [EnvoySamples.cluster("refused", origin: "the cluster")])
    }()

    /// The events of all lines, in short.
    private func story() throws -> [String] {
        var reader = EnvoyLogReader(configuration)
        return try lines().flatMap { line in
            let reading = try reader.read(line)
            return (reading.isFence ? ["fence"] : []) + reading.events.map(Self.describe)
        }
    }

    private static func describe(_ event: ProxyEvent) -> String {
        switch event {
        case .accepted(let number, _, let destination): "\(number) accepted for \(destination)"
        case .connecting(let number, let local, let to, let cluster, let request, let isReused):
            "\(number) connecting\(local == nil ? " without address" : "") to \(to) of \(cluster)"
                + (request == nil ? "" : " for a request") + (isReused ? ", reused" : "")
        case .record(let number, let record):
            "\(number) \(record.kind.rawValue) \(record.streamID): \(record.responseCode) "
                + "\(record.responseFlags.joined(separator: ",")) \(record.responseCodeDetails ?? "-")"
                + (record.origin.map { " by \($0)" } ?? "")
        case .progress(let record): "tcp \(record.streamID) lives"
        case .closed(let number): "\(number) closed"
        }
    }

    @Test("Each connection and request is told of once, in order")
    func events() throws {
        let refused = "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:"
        #expect(
            try story() == [
                "1 accepted for 127.0.0.1:9001", "1 connecting to 127.0.0.1:9101 of good",
                "1 tcp 1: 0  - by the chain", "1 closed",
                "3 accepted for 127.0.0.1:9002", "3 connecting without address to 127.0.0.1:9199 of refused",
                "3 tcp 2: 0 UF,URX - by the cluster", "3 closed",
                "5 accepted for 127.0.0.1:9003", "5 tcp 3: 0 UH -", "5 closed",
                "6 accepted for 127.0.0.1:9004", "6 tcp 4: 0 NC -", "6 closed",
                "7 accepted for 127.0.0.1:9005", "7 connecting to 127.0.0.1:9102 of web for a request",
                "7 http 5: 200  via_upstream", "7 closed",
                "10 accepted for 127.0.0.1:9005",
                "10 connecting without address to 127.0.0.1:9199 of refused for a request",
                "10 http 6: 503 UF \(refused)_Connection_refused}", "10 closed",
                "12 accepted for 127.0.0.1:9005", "12 http 7: 503 NC cluster_not_found", "12 closed",
                "13 accepted for 127.0.0.1:9005", "13 http 8: 503 UH no_healthy_upstream", "13 closed",
                "14 accepted for 127.0.0.1:9005", "14 http 9: 502  direct_response", "14 closed",
                "15 accepted for 127.0.0.1:9005", "15 http 10: 404 NR route_not_found", "15 closed",
                // Two requests on one connection, both on the upstream connection of the first of all.
                "17 accepted for 127.0.0.1:9005", "17 connecting to 127.0.0.1:9102 of web for a request, reused",
                "17 http 11: 200  via_upstream", "17 closed",
                "17 connecting to 127.0.0.1:9102 of web for a request, reused", "17 http 12: 200  via_upstream",
                "17 closed",
                "18 accepted for 127.0.0.1:9005", "18 http 13: 400 DPE http1.codec_error", "18 closed",
                "fence", "fence",
                "4503599627370497 accepted for 127.0.0.1:9006",
                "4503599627370497 tcp 14: 0 NR filter_chain_not_found by the listener on 9006",
                "4503599627370497 closed",
            ])
    }

    @Test("Only final lines are entries of the log, without their newline")
    func entries() throws {
        var reader = EnvoyLogReader(configuration)
        let entries = try lines().compactMap { try reader.read($0).entry }
        #expect(entries.count == 14)
        #expect(entries.allSatisfy { $0.lines == [ProxyLogLine(path: "/dev/stdout", text: "a line")] })
        #expect(entries[0].record.startTime == 1_795_274_304.880956)
        #expect(entries[4].record.upstreamServiceTimeMs != nil)
    }

    @Test("What the user's log leaves out is no entry, but told of all the same")
    func unlogged() throws {
        var reader = EnvoyLogReader(configuration)
        let last = try #require(try lines().last)
        let reading = try reader.read(#"{"unlogged": true, "# + last.dropFirst())
        #expect(reading.entry == nil)
        #expect(reading.events.count == 3)
    }

    @Test("The fields of a record are those that Envoy gave")
    func record() throws {
        var reader = EnvoyLogReader(configuration)
        let record = try #require(try lines().compactMap { try reader.read($0).entry?.record }.first)
        var expected = AccessLogRecord(kind: .tcp, streamID: 1, startTime: 1_795_274_304.880956)
        expected.bytesReceived = 2
        expected.bytesSent = 2
        expected.durationMs = 109
        expected.upstreamHost = IPEndpoint("127.0.0.1:9101")
        expected.upstreamCluster = "good"
        expected.upstreamLocalAddress = IPEndpoint("127.0.0.1:45472")
        expected.downstreamLocalAddress = IPEndpoint("127.0.0.1:9001")
        expected.downstreamRemoteAddress = IPEndpoint("127.0.0.1:39602")
        expected.filterChainName = "tcp-good"
        expected.origin = "the chain"
        #expect(record == expected)
    }

    @Test("Of chains with one name, each has its own origin")
    func namesakes() throws {
        var listener = EnvoySamples.tcp(9001, to: "good", origin: "the first rule")
        var second = try #require(listener.filterChains.first)
        second.origin = "the second rule"
        listener.filterChains.append(second)
        var reader = EnvoyLogReader(EnvoySamples.configuration([listener], clusters: []))
        func origin(_ text: String) throws -> String? {
            try reader.read(text).events.lazy.compactMap { event in
                if case .record(_, let record) = event { record.origin } else { nil }
            }.first
        }
        let ended = try #require(lines().first { $0.contains("TcpConnectionEnd") && $0.contains("9001") })
        #expect(try origin(ended) == "the first rule")
        #expect(try origin(#"{"namesake": 1, "# + ended.dropFirst()) == "the second rule")
    }

    @Test("A connection keeps the origin that its chain had when it began")
    func originsOfBefore() throws {
        var reader = EnvoyLogReader(configuration)
        let lines = try lines()
        _ = try reader.read(lines[0])
        var next = configuration
        next.listeners[0].filterChains[0].origin = "another line"
        reader.expect(next)
        _ = try reader.read(lines[1])
        #expect(try reader.read(lines[2]).entry?.record.origin == "the chain")
    }

    @Test("What is open when Envoy ends is closed")
    func finish() throws {
        var reader = EnvoyLogReader(configuration)
        let line = try #require(try lines().first)
        _ = try reader.read(line)
        #expect(reader.finish().map(Self.describe) == ["1 closed"])
        #expect(reader.finish().isEmpty)
    }

    @Test("Output that is no access log is an error")
    func unreadable() {
        var reader = EnvoyLogReader(configuration)
        #expect(throws: (any Error).self) { try reader.read("terminate called") }
        #expect(throws: EnvoyLogError.self) { try reader.read(#"{"log_type":"NotSet"}"#) }
    }

    @Test("Statistics are read with names that have colons and semicolons; what is no number is left out")
    func statistics() {
        let page = EnvoyStatisticsPage(
            """
            cluster.outbound|80||a:b;.upstream_cx_total: 7
            cluster_manager.cds.version_text: "3"
            http.x;.downstream_cx_length_ms: P0(nan,0) P25(nan,0)
            """)
        #expect(page.numbers == ["cluster.outbound|80||a:b.upstream_cx_total": 7])
        #expect(page.texts == ["cluster_manager.cds.version_text": "3"])
    }
}
