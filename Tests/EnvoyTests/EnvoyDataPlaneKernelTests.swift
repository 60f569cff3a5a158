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

    private func usual(accessLogs: [AccessLogConfiguration] = [AccessLogConfiguration(format: .istioText)])
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
            ], accessLogs: accessLogs)
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

    @Test("Lines in a JSON format are printed with sorted keys; without an access log there are none")
    func formats() async throws {
        let format = AccessLogConfiguration.Format.json(["status": "%RESPONSE_CODE%", "flags": "%RESPONSE_FLAGS%"])
        try await EnvoyBench.run(usual(accessLogs: [AccessLogConfiguration(format: format)])) { bench in
            _ = try bench.exchange(9003)
            try await bench.proxy.settle()
            #expect(bench.proxy.accessLogLines() == [#"{"flags":"UH","status":0}"#])
        }
        try await EnvoyBench.run(usual(accessLogs: [])) { bench in
            _ = try bench.exchange(9003)
            try await bench.proxy.settle()
            #expect(bench.proxy.accessLogLines().isEmpty && bench.proxy.accessLogRecords().count == 1)
        }
    }

    @Test("A change is in force when the update returns, and open connections of unchanged listeners live on")
    func update() async throws {
        try await EnvoyBench.run(usual()) { bench in
            try bench.serveEcho(9101)
            try bench.serveHTTP(9102)
            let open = try bench.connect(9001)
            try open.send("a")
            #expect(try open.receive() == Array("a".utf8))
            var next = usual()
            next.listeners.removeAll { $0.name == "127.0.0.1_9004" }
            next.listeners.append(Samples.tcp(9005, to: "new"))
            next.clusters.removeAll { $0.name == "refused" }
            next.clusters.append(Samples.cluster("new", 9101))
            next.routes[0].virtualHosts[0].routes.insert(Samples.route("/else", to: "web"), at: 0)
            try await bench.proxy.update(next)
            #expect(try bench.get(9080, "/else") == "HTTP/1.1 200 OK")
            #expect(try bench.get(9080, "/refused").hasPrefix("HTTP/1.1 503"))
            let fresh = try bench.connect(9005)
            try fresh.send("b")
            #expect(try fresh.receive() == Array("b".utf8))
            try open.send("c")
            #expect(try open.receive() == Array("c".utf8))
            try await bench.proxy.settle()
            #expect(bench.records.map(\.responseFlags) == [[], ["NC"]])
            let names = try await bench.proxy.statistics().keys
            #expect(!names.contains("cluster.refused.upstream_cx_total"))
            #expect(names.contains("cluster.new.upstream_cx_total"))
        }
    }

    @Test("A change that changes nothing writes nothing; origins are looked up in the newest configuration")
    func sameConfiguration() async throws {
        try await EnvoyBench.run(usual()) { bench in
            var next = usual()
            next.listeners[2].filterChains[0].origin = "a line further down"
            let before = try await bench.proxy.statistic("listener_manager.lds.update_attempt")
            try await bench.proxy.update(next)
            #expect(try await bench.proxy.statistic("listener_manager.lds.update_attempt") == before)
            _ = try bench.exchange(9003)
            try await bench.proxy.settle()
            #expect(bench.records.first?.origin == "a line further down")
        }
    }

    @Test("New policies close kept upstream connections")
    func newPolicies() async throws {
        try await EnvoyBench.run(usual()) { bench in
            try bench.serveHTTP(9102)
            _ = try bench.get(9080, "/web")
            _ = try bench.get(9080, "/web")
            #expect(try await bench.proxy.statistic("cluster.web.upstream_cx_total") == 1)
            try await bench.proxy.meetNewPolicies()
            _ = try bench.get(9080, "/web")
            try await bench.proxy.settle()
            let reuses = bench.events.all.compactMap {
                if case .connecting(_, _, _, _, _, let isReused) = $0 { isReused } else { nil }
            }
            #expect(reuses == [false, true, false])
        }
    }

    @Test("A refused change is told in Envoy's words, and the configuration of before stays in force")
    func refusedChange() async throws {
        try await EnvoyBench.run(usual()) { bench in
            try bench.serveHTTP(9102)
            var next = usual()
            var copy = next.listeners[0]
            copy.name = "copy"
            next.listeners.append(copy)
            next.routes[0].virtualHosts[0].routes = []
            let error = await #expect(throws: EnvoyError.self) { try await bench.proxy.update(next) }
            #expect(error?.code == .rejected)
            #expect(error?.log.contains { $0.contains("copy") && $0.contains("9001") } == true, "\(error as Any)")
            #expect(bench.proxy.failure == nil)
            #expect(try bench.get(9080, "/web") == "HTTP/1.1 200 OK")
            next.listeners.removeLast()
            try await bench.proxy.update(next)
            #expect(try bench.get(9080, "/web").hasPrefix("HTTP/1.1 404"))
        }
    }

    @Test("An Envoy that can't start says why")
    func failingStart() async throws {
        var wrong = usual()
        var copy = wrong.listeners[0]
        copy.name = "copy"
        wrong.listeners.append(copy)
        try await EnvoyBench.prepare(wrong) { bench in
            let error = await #expect(throws: EnvoyError.self) { try await bench.proxy.start() }
            #expect(error?.code == .start && error?.description.contains("copy") == true, "\(error as Any)")
        }
    }

    @Test("An Envoy that is killed fails everything that waits, with how it ended")
    func crash() async throws {
        try await EnvoyBench.run(usual()) { bench in
            try bench.serveEcho(9101)
            let socket = try bench.connect(9001)
            try socket.send("a")
            _ = try socket.receive()
            try await bench.proxy.settle()
            async let failure = bench.proxy.waitForFailure()
            _ = Glibc.kill(try #require(bench.proxy.processID), SIGKILL)
            let seen = await failure
            #expect(seen?.description.contains("signal 9") == true && seen?.proxy == "sidecar default/sleep-1")
            #expect(bench.proxy.failure?.code == .ended)
            await #expect(throws: EnvoyError.self) { try await bench.proxy.settle() }
            await #expect(throws: EnvoyError.self) { try await bench.proxy.update(usual()) }
            await #expect(throws: EnvoyError.self) { _ = try await bench.proxy.statistics() }
            #expect(bench.events.all.contains { if case .closed = $0 { true } else { false } })
        }
    }

    @Test("What was open is in the log when the proxy has stopped, and a stop is no failure")
    func stop() async throws {
        try await EnvoyBench.run(usual()) { bench in
            try bench.serveEcho(9101)
            let socket = try bench.connect(9001)
            try socket.send("a")
            _ = try socket.receive()
            await bench.proxy.stop()
            #expect(bench.records.count == 1 && bench.proxy.accessLogLines().count == 1)
            #expect(socket.receivesNothing)
            #expect(await bench.proxy.waitForFailure() == nil)
        }
    }

    @Test("Whoever settles finds all that came before, however many do at a time")
    func settle() async throws {
        try await EnvoyBench.run(usual()) { bench in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<20 {
                    group.addTask {
                        let client = try bench.connect(9003)
                        let port = client.local
                        #expect(client.receivesNothing)
                        try await bench.proxy.settle()
                        #expect(bench.records.contains { $0.downstreamRemoteAddress == port })
                    }
                }
                try await group.waitForAll()
            }
        }
    }
}
