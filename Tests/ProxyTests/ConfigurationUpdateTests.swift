import NetworkAddresses
import Proxy
import ProxyModel
import TestSupport
import Testing

@Suite struct ConfigurationUpdateTests {
    @Test("a kept connection's next request follows the new routes; counters live on")
    func routes() async throws {
        let origin = try Origin.http()
        try await TestBench.run({ .http(at: $0, hosts: [.all()], clusters: [.fixed([origin.endpoint])]) }) { bench in
            let client = try bench.connect()
            try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(try client.receiveMessage().body == "hello")
            try await bench.proxy.update(
                .http(at: bench.address, hosts: [.blockAll], clusters: [.fixed([origin.endpoint])]))
            try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(try client.receiveMessage().head.hasPrefix("HTTP/1.1 502"))
            #expect(bench.proxy.statistic("http.outbound_0.0.0.0_80.downstream_rq_total") == 2)
            #expect(bench.proxy.statistic("http.outbound_0.0.0.0_80.downstream_cx_total") == 1)
        }
    }

    @Test("an unchanged chain's connection survives; one of a changed chain is closed after the drain time")
    func chains() async throws {
        let origin = try Origin.echo()
        let black = Cluster(name: "BlackHoleCluster", discovery: .staticEndpoints)
        try await TestBench.run({ .tcp(at: $0, to: .fixed([origin.endpoint])) }) { bench in
            let client = try bench.connect()
            try client.send("x")
            _ = try client.receive()
            var same = ProxyConfiguration.tcp(at: bench.address, to: .fixed([origin.endpoint]))
            same.clusters.append(black)
            try await bench.proxy.update(same)
            try client.send("y")
            #expect(try client.receive() == [UInt8(ascii: "y")])
            var blocking = same
            blocking.listeners[0].filterChains[0].filter = .tcpProxy(TCPProxy(cluster: "BlackHoleCluster"))
            try await bench.proxy.update(blocking)
            let second = try bench.connect()
            #expect(second.receivesNothing)
            #expect(client.receivesNothing)
            #expect(bench.closed(2))
        }
    }

    @Test("listeners come and go; one that can't be bound leaves everything as it was")
    func listeners() async throws {
        let origin = try Origin.echo()
        let other = IPEndpoint(.loopbackIPv4, TestPorts.next())
        try await TestBench.run({ .tcp(at: $0, to: .fixed([origin.endpoint])) }) { bench in
            func check(_ endpoint: IPEndpoint) throws -> Bool {
                let client = try BlockingSocket.connect(to: endpoint)
                try client.send("x")
                return try client.receive() == [UInt8(ascii: "x")]
            }
            var both = ProxyConfiguration.tcp(at: bench.address, to: .fixed([origin.endpoint]))
            both.listeners[0].addresses.append(other)
            try await bench.proxy.update(both)
            #expect(try check(bench.address) && check(other))

            let taken = try BlockingSocket.listen(at: IPEndpoint(.loopbackIPv4, 0))
            var wrong = ProxyConfiguration.tcp(at: bench.address, to: nil)
            wrong.listeners[0].addresses.append(taken.local)
            await #expect(throws: ProxyStartError.self) { try await bench.proxy.update(wrong) }
            #expect(try check(bench.address) && check(other))

            try await bench.proxy.update(.tcp(at: other, to: .fixed([origin.endpoint])))
            #expect(try check(other))
            #expect(throws: BlockingSocket.Failure.self) { try check(bench.address) }
        }
    }

    private static func named(_ discovery: Cluster.Discovery, _ host: String, _ port: UInt16) -> Cluster {
        Cluster(name: "target", discovery: discovery, endpoints: [Endpoint(host: host, port: port)])
    }

    @Test("STRICT_DNS goes to the resolved address; an unchanged cluster is not asked for again")
    func strictDNS() async throws {
        let origin = try Origin.http()
        let resolver = TableResolver(["h.test": HostResolution(addresses: [.loopbackIPv4], ttlSeconds: 300)])
        let cluster = Self.named(.strictDNS, "h.test", origin.endpoint.port)
        try await TestBench.run(resolver: resolver, { .http(at: $0, hosts: [.all()], clusters: [cluster]) }) { bench in
            let client = try bench.connect()
            try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(try client.receiveMessage().body == "hello")
            try await bench.proxy.update(.http(at: bench.address, hosts: [.all(timeoutMs: 5000)], clusters: [cluster]))
            try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(try client.receiveMessage().body == "hello")
            #expect(resolver.asked.all == ["h.test"])
        }
    }

    @Test("a name that does not resolve: UH; it is asked again after the refresh time")
    func unresolved() async throws {
        let origin = try Origin.http()
        let resolver = TableResolver()
        var cluster = Self.named(.strictDNS, "h.test", origin.endpoint.port)
        cluster.dnsRefreshMs = 20
        let target = cluster
        try await TestBench.run(resolver: resolver, { .http(at: $0, hosts: [.all()], clusters: [target]) }) { bench in
            let client = try bench.connect()
            try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(try client.receiveMessage().body == "no healthy upstream")
            resolver.set("h.test", HostResolution(addresses: [.loopbackIPv4], ttlSeconds: 1))
            let asked = resolver.asked.all.count
            _ = resolver.asked.wait { $0.count >= asked + 2 ? true : nil }
            try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(try client.receiveMessage().body == "hello")
        }
    }

    @Test("LOGICAL_DNS uses the first address, STRICT_DNS all of them")
    func addressChoice() async throws {
        let origin = try Origin.http(at: .anyIPv4)
        let both = HostResolution(addresses: [IPAddress(127, 0, 0, 2), IPAddress(127, 0, 0, 3)], ttlSeconds: 60)
        for (discovery, expected) in [(Cluster.Discovery.logicalDNS, 1), (.strictDNS, 2)] {
            let cluster = Self.named(discovery, "h.test", origin.endpoint.port)
            try await TestBench.run(
                resolver: TableResolver(["h.test": both]), { .http(at: $0, hosts: [.all()], clusters: [cluster]) }
            ) { bench in
                var hosts: Set<IPEndpoint> = []
                for index in 0..<6 {
                    let client = try bench.connect()
                    try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                    _ = try client.receiveMessage()
                    if let host = bench.record(index)?.upstreamHost { hosts.insert(host) }
                }
                #expect(hosts.count == expected)
            }
        }
    }

    @Test("a retry prefers a host that has not failed")
    func otherHost() async throws {
        let origin = try Origin.http()
        let dead = Origin.refusing()
        try await TestBench.run({
            .http(at: $0, hosts: [.all(retries: .istio)], clusters: [.fixed([dead, origin.endpoint])])
        }) { bench in
            for index in 0..<6 {
                let client = try bench.connect()
                try client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                #expect(try client.receiveMessage().body == "hello")
                #expect(try client.receiveAll().isEmpty)
                #expect(bench.record(index)?.upstreamHost == origin.endpoint)
            }
        }
    }
}
