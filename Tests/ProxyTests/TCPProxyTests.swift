import NIOPosix
import NetworkAddresses
import Proxy
import ProxyModel
import TestSupport
import Testing

@Suite struct TCPProxyTests {
    @Test("bytes pass both ways, and the record has both counts and all addresses")
    func relay() async throws {
        let origin = try Origin.echo()
        try await TestBench.run({ .tcp(at: $0, to: .fixed([origin.endpoint])) }) { bench in
            let client = try bench.connect()
            try client.send("hello")
            #expect(try client.receive() == Array("hello".utf8))
            client.finishSending()
            #expect(try client.receiveAll().isEmpty)
            let record = try #require(bench.record())
            #expect(record.bytesReceived == 5 && record.bytesSent == 5)
            #expect(record.responseFlags.isEmpty)
            #expect(record.upstreamHost == origin.endpoint)
            #expect(record.upstreamLocalAddress == bench.connecting()?.local)
            #expect(record.downstreamLocalAddress == bench.address)
            #expect(record.downstreamRemoteAddress == client.local)
            #expect(bench.closed())
            #expect(bench.proxy.statistic("cluster.target.upstream_cx_total") == 1)
            #expect(bench.proxy.statistic("cluster.target;.upstream_cx_active") == 0)
            #expect(bench.proxy.statistic("tcp.target.downstream_cx_total") == 1)
        }
    }

    @Test("a server that speaks first is heard on a listener without inspectors")
    func serverFirst() async throws {
        let origin = try Origin { try $0.send("220 hi\r\n") }
        try await TestBench.run({ .tcp(at: $0, to: .fixed([origin.endpoint])) }) { bench in
            let client = try bench.connect()
            #expect(try client.receiveAll() == Array("220 hi\r\n".utf8))
        }
    }

    @Test("a client that ended its output still gets the answer")
    func halfClose() async throws {
        let origin = try Origin { socket in
            let all = try socket.receiveAll()
            try socket.send([UInt8](repeating: 1, count: all.count * 2))
        }
        try await TestBench.run({ .tcp(at: $0, to: .fixed([origin.endpoint])) }) { bench in
            for size in [0, 1, 200_000] {
                let client = try bench.connect()
                try client.send([UInt8](repeating: 2, count: size))
                client.finishSending()
                #expect(try client.receiveAll().count == size * 2)
            }
        }
    }

    @Test("40 MB each way arrive whole through slow ends")
    func bulk() async throws {
        let total = 40 << 20
        let origin = try Origin { socket in
            var count = 0
            while true {
                let part = try socket.receive(1 << 20)
                if part.isEmpty { break }
                count += part.count
            }
            try socket.send([UInt8](repeating: 3, count: count))
        }
        try await TestBench.run({ .tcp(at: $0, to: .fixed([origin.endpoint])) }) { bench in
            let client = try bench.connect()
            for _ in 0..<40 { try client.send([UInt8](repeating: 4, count: 1 << 20)) }
            client.finishSending()
            #expect(try client.receiveAll().count == total)
            let record = try #require(bench.record())
            #expect(record.bytesReceived == UInt64(total) && record.bytesSent == UInt64(total))
        }
    }

    @Test("an origin that does not read stops the client: memory stays bounded")
    func backPressure() async throws {
        let origin = try Origin { socket in
            _ = try socket.receive(1)
            _ = try BlockingSocket.listen(at: IPEndpoint(.loopbackIPv4, 0)).accept()
        }
        try await TestBench.run({ .tcp(at: $0, to: .fixed([origin.endpoint])) }) { bench in
            let client = try bench.connect()
            var sent = 0
            let chunk = [UInt8](repeating: 5, count: 1 << 20)
            client.setSendTimeout(milliseconds: 300)
            // 64 MB would be accepted at once without back-pressure; kernel buffers take about 10.
            while sent < 64, (try? client.send(chunk)) != nil { sent += 1 }
            #expect(sent < 40)
        }
    }

    @Test("BlackHoleCluster accepts, then closes: UH, no upstream connection")
    func blackHole() async throws {
        let cluster = Cluster(name: "BlackHoleCluster", discovery: .staticEndpoints)
        try await TestBench.run({ .tcp(at: $0, to: cluster, clusterName: "BlackHoleCluster") }) { bench in
            let client = try bench.connect()
            #expect(client.receivesNothing)
            let record = try #require(bench.record())
            #expect(record.responseFlags == ["UH"] && record.upstreamCluster == "BlackHoleCluster")
            #expect(record.upstreamHost == nil && record.bytesReceived == 0)
            #expect(bench.closed())
            #expect(bench.proxy.statistic("cluster.BlackHoleCluster.upstream_cx_none_healthy") == 1)
            #expect(bench.proxy.statistic("cluster.BlackHoleCluster.upstream_cx_total") == 0)
            var timeless = record
            timeless.durationMs = 0
            let line = AccessLogFormatter(.istioText).line(for: timeless)
            #expect(line.contains(#"] "- - -" 0 UH - - "-" 0 0 0 - "-" "-" "-" "-" "-" BlackHoleCluster - "#))
            #expect(bench.proxy.accessLogLines().count == 1)
        }
    }

    @Test("a cluster that does not exist: NC")
    func noCluster() async throws {
        try await TestBench.run({ .tcp(at: $0, to: nil) }) { bench in
            _ = try? bench.connect().receiveAll()
            #expect(bench.record()?.responseFlags == ["NC"])
        }
    }

    @Test("a refused connection: UF,URX with the reason")
    func refused() async throws {
        let endpoint = Origin.refusing()
        try await TestBench.run({ .tcp(at: $0, to: .fixed([endpoint])) }) { bench in
            let client = try bench.connect()
            #expect(client.receivesNothing)
            let record = try #require(bench.record())
            #expect(record.responseFlags == ["UF", "URX"])
            #expect(record.upstreamTransportFailureReason == "delayed_connect_error:_Connection_refused")
            #expect(record.upstreamHost == endpoint && record.upstreamLocalAddress == nil)
            #expect(bench.proxy.statistic("cluster.target.upstream_cx_connect_fail") == 1)
        }
    }

    @Test("an address without a route fails at once, in Envoy's words")
    func unreachable() async throws {
        // The broadcast address can't be connected to: the kernel answers without sending anything.
        let nowhere = IPEndpoint(IPAddress(255, 255, 255, 255), 9)
        try await TestBench.run({ .tcp(at: $0, to: .fixed([nowhere])) }) { bench in
            let client = try bench.connect()
            #expect(client.receivesNothing)
            let record = try #require(bench.record())
            #expect(record.responseFlags == ["UF", "URX"])
            #expect(record.upstreamTransportFailureReason?.hasPrefix("immediate_connect_error:_") == true)
        }
    }

    @Test("an unanswered SYN is reported at once, with its address and port; a client that leaves ends the attempt")
    func unanswered() async throws {
        let silent = try SilentListener()
        try await TestBench.run({ .tcp(at: $0, to: .fixed([silent.endpoint], connectTimeoutMs: 60_000)) }) { bench in
            let client = try bench.connect()
            let attempt = try #require(bench.connecting())
            let local = try #require(attempt.local)
            #expect(local.address == .loopbackIPv4 && local.port != 0)
            #expect(attempt.to == silent.endpoint)
            client.reset()
            let record = try #require(bench.record())
            #expect(record.responseFlags == ["DC"])
            #expect(bench.closed())
            #expect(bench.proxy.statistic("cluster.target.upstream_cx_active") == 0)
        }
    }

    @Test("a client that only sends a FIN while the SYN is unanswered is given up soon after")
    func unansweredFIN() async throws {
        let silent = try SilentListener()
        try await TestBench.run({ .tcp(at: $0, to: .fixed([silent.endpoint], connectTimeoutMs: 60_000)) }) { bench in
            let client = try bench.connect()
            try client.send("hello")
            client.close()
            #expect(bench.record()?.responseFlags == ["DC"])
        }
    }

    @Test("a connect time-out has its own counter")
    func connectTimeout() async throws {
        let silent = try SilentListener()
        try await TestBench.run({ .tcp(at: $0, to: .fixed([silent.endpoint], connectTimeoutMs: 50)) }) { bench in
            _ = try? bench.connect().receiveAll()
            let record = try #require(bench.record())
            #expect(record.responseFlags == ["UF", "URX"])
            #expect(record.upstreamTransportFailureReason == "connection_timeout")
            #expect(record.durationMs >= 50)
            #expect(bench.proxy.statistic("cluster.target.upstream_cx_connect_timeout") == 1)
        }
    }

    @Test("a server's reset reaches the client as a reset: UR")
    func serverReset() async throws {
        let origin = try Origin { socket in
            _ = try socket.receive(5)
            socket.reset()
        }
        try await TestBench.run({ .tcp(at: $0, to: .fixed([origin.endpoint])) }) { bench in
            let client = try bench.connect()
            try client.send("hello")
            #expect(throws: BlockingSocket.Failure.self) { try client.receiveAll() }
            #expect(bench.record()?.responseFlags == ["UR"])
        }
    }

    @Test("a client's reset reaches the server as a reset")
    func clientReset() async throws {
        let ends = Collector<String>()
        let origin = try Origin { socket in
            do {
                while try !socket.receive().isEmpty { try socket.send("x") }
                ends.add("end")
            } catch {
                ends.add("reset")
            }
        }
        try await TestBench.run({ .tcp(at: $0, to: .fixed([origin.endpoint])) }) { bench in
            let client = try bench.connect()
            try client.send("hello")
            _ = try client.receive()
            client.reset()
            #expect(ends.wait { $0.first } == "reset")
            #expect(bench.closed())
        }
    }

    @Test("ORIGINAL_DST connects to the dialled address; the port can be replaced")
    func originalDestination() async throws {
        let origin = try Origin.echo()
        let cluster = Cluster(name: "target", discovery: .originalDestination, upstreamPort: origin.endpoint.port)
        try await TestBench.run({ .tcp(at: $0, to: cluster) }) { bench in
            let client = try bench.connect()
            try client.send("x")
            #expect(try client.receive() == [UInt8(ascii: "x")])
            #expect(bench.connecting()?.to == origin.endpoint)
        }
    }

    @Test("the source address is bound where the cluster asks for it, on both families")
    func sourceAddress() async throws {
        let origin = try Origin.echo()
        var cluster = Cluster.fixed([origin.endpoint])
        let source = IPAddress(127, 0, 0, 6)
        cluster.sourceAddresses = [source, .loopbackIPv6]
        let target = cluster
        try await TestBench.run({ .tcp(at: $0, to: target) }) { bench in
            let client = try bench.connect()
            try client.send("x")
            _ = try client.receive()
            #expect(bench.connecting()?.local?.address == source)
        }
    }

    @Test("IPv6 works like IPv4")
    func ipv6() async throws {
        let origin = try Origin.echo(at: .loopbackIPv6)
        try await TestBench.run(host: .loopbackIPv6, { .tcp(at: $0, to: .fixed([origin.endpoint])) }) { bench in
            let client = try bench.connect()
            try client.send("x")
            #expect(try client.receive() == [UInt8(ascii: "x")])
            #expect(bench.connecting()?.local?.address == .loopbackIPv6)
            client.close()
            #expect(bench.record()?.downstreamLocalAddress == bench.address)
        }
    }

    @Test("a listener that can't be bound is named")
    func bindFailure() async throws {
        let taken = try BlockingSocket.listen(at: IPEndpoint(.loopbackIPv4, 0))
        let proxy = BundledProxy(
            configuration: .tcp(at: taken.local, to: nil), context: CurrentNetworkContext(),
            resolver: TableResolver(), group: MultiThreadedEventLoopGroup.singleton
        ) { _ in }
        let error = try #require(await #expect(throws: ProxyStartError.self) { try await proxy.start() })
        #expect(error.listener == "test" && error.address == taken.local && error.call == "bind")
        #expect(error.description.contains("Address already in use"))
        await proxy.stop()
    }

    @Test("stopping closes open connections and writes their records")
    func stopping() async throws {
        let origin = try Origin.echo()
        try await TestBench.run({ .tcp(at: $0, to: .fixed([origin.endpoint])) }) { bench in
            let client = try bench.connect()
            try client.send("x")
            _ = try client.receive()
            await bench.proxy.stop()
            #expect(bench.proxy.accessLogRecords().count == 1)
            #expect(throws: BlockingSocket.Failure.self) { try bench.connect() }
        }
    }
}
