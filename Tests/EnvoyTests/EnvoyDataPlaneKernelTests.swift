import Envoy
import Foundation
import Glibc
import Netlink
import NetworkAddresses
import Proxy
import ProxyModel
import TestSupport
import Testing

@Suite("A real Envoy as data plane", .requiresRoot, .requiresEnvoy)
struct EnvoyDataPlaneKernelTests {
    private typealias Samples = EnvoySamples

    private func usual(accessLog: AccessLogConfiguration? = AccessLogConfiguration(format: .istioText))
        -> ProxyConfiguration
    {
        Samples.configuration(
            [
                Samples.tcp(9001, to: "echo", origin: "the chain"), Samples.tcp(9002, to: "refused"),
                Samples.tcp(9003, to: "BlackHoleCluster"), Samples.tcp(9004, to: "none"), Samples.http(9080),
            ],
            clusters: [
                Samples.cluster("echo", 9101, origin: "the cluster"), Samples.cluster("web", 9102),
                Samples.cluster("refused", 9199, origin: "the refused cluster"), Samples.cluster("BlackHoleCluster"),
            ],
            routes: [
                Samples.route("/web", to: "web", name: "web", origin: "the route"),
                Samples.route("/refused", to: "refused"), Samples.route("/none", to: "none"),
            ], accessLog: accessLog)
    }

    @Test("Traffic goes through, and each connection is told of from its beginning to its end")
    func traffic() async throws {
        try await EnvoyBench.run(usual()) { bench in
            try bench.serveEcho(9101)
            let socket = try bench.connect(9001)
            try socket.send("hi")
            #expect(try socket.receive() == Array("hi".utf8))
            let client = socket.local
            socket.close()
            try await bench.proxy.settle()
            let events = bench.events.all
            try #require(events.count == 4, "\(events)")
            guard case .accepted(let number, let from, let destination) = events[0],
                case .connecting(let second, let local, let to, let cluster, let request, let isReused) = events[1],
                case .record(let third, let record) = events[2], case .closed(let fourth) = events[3]
            else {
                Issue.record("\(events)")
                return
            }
            #expect(Set([number, second, third, fourth]).count == 1)
            #expect(from == client && destination == IPEndpoint(.loopbackIPv4, 9001))
            #expect(local != nil && to == IPEndpoint(.loopbackIPv4, 9101) && cluster == "echo")
            #expect(request == nil && !isReused)
            #expect(record.bytesReceived == 2 && record.bytesSent == 2 && record.upstreamLocalAddress == local)
            #expect(record.origin == "the chain" && record.filterChainName == "tcp-echo")
            #expect(bench.proxy.accessLogRecords() == [record])
            let line = try #require(bench.proxy.accessLogLines().first)
            #expect(line.contains(#""- - -" 0 - - - "-" 2 2 "#) && !line.hasSuffix("\n"), "\(line)")
        }
    }

    @Test("It runs as the proxy's user, who needs no access to the program, and without privileges")
    func identity() async throws {
        try await EnvoyBench.run(usual()) { bench in
            let process = try #require(bench.proxy.processID)
            let status = try String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)
            #expect(status.contains("Uid:\t1337\t1337\t1337\t1337"))
            #expect(status.contains("Gid:\t1337\t1337\t1337\t1337"))
            #expect(status.contains("NoNewPrivs:\t1") && status.contains("CapEff:\t0000000000000000"))
        }
    }

    @Test("Refusals have their flags, and a connection without an upstream names none")
    func refusals() async throws {
        try await EnvoyBench.run(usual()) { bench in
            for port in [UInt16(9002), 9003, 9004] { #expect(try bench.exchange(port).isEmpty) }
            #expect(try bench.get(9080, "/refused").hasPrefix("HTTP/1.1 503"))
            #expect(try bench.get(9080, "/none").hasPrefix("HTTP/1.1 503"))
            #expect(try bench.get(9080, "/else").hasPrefix("HTTP/1.1 404"))
            try await bench.proxy.settle()
            let flags = bench.records.map(\.responseFlags)
            #expect(flags == [["UF", "URX"], ["UH"], ["NC"], ["UF"], ["NC"], ["NR"]])
            #expect(bench.records.first?.origin == "the refused cluster")
            let accepted = bench.events.all.filter { if case .accepted = $0 { true } else { false } }
            let closed = bench.events.all.filter { if case .closed = $0 { true } else { false } }
            #expect(accepted.count == 6 && closed.count == 6)
        }
    }

    @Test("Statistics go by their names with and without the semicolon; the fence is not among them")
    func statistics() async throws {
        try await EnvoyBench.run(usual()) { bench in
            try bench.serveHTTP(9102)
            _ = try bench.get(9080, "/web")
            _ = try bench.exchange(9003)
            try await bench.proxy.settle()
            let proxy = bench.proxy
            #expect(try await proxy.statistic("cluster.web;.upstream_cx_total") == 1)
            #expect(try await proxy.statistic("cluster.web.upstream_rq_200") == 1)
            #expect(try await proxy.statistic("http.outbound_127.0.0.1_9080;.downstream_rq_2xx") == 1)
            #expect(try await proxy.statistic("cluster.BlackHoleCluster.upstream_cx_none_healthy") == 1)
            #expect(try await proxy.statistic("cluster.nosuch.upstream_cx_total") == nil)
            let all = try await proxy.statistics()
            #expect(all.keys.filter { $0.contains("fence") } == [])
        }
    }
}
