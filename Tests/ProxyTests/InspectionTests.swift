import NetworkAddresses
import ProxyModel
import TestSupport
import Testing

@testable import Proxy

@Suite struct InspectionTests {
    private static func inspect(_ bytes: [UInt8], portion: Int) -> ClientHelloParser.Result {
        var parser = ClientHelloParser()
        var result = ClientHelloParser.Result.needsMore
        var rest = bytes[...]
        while !rest.isEmpty {
            result = parser.feed(rest.prefix(portion))
            rest = rest.dropFirst(portion)
        }
        return result
    }

    @Test("the server name is found however the hello is cut", arguments: [1, 7, 100, 1_000_000])
    func serverName(_ portion: Int) {
        for (padding, record) in [(0, 16_384), (0, 1), (300, 100), (19_000, 16_384)] {
            let hello = ClientHellos.make(serverName: "WWW.Google.com", padding: padding, recordSize: record)
            let expected = ClientHelloParser.Hello(
                serverName: "www.google.com", applicationProtocols: ["h2", "http/1.1"])
            #expect(Self.inspect(hello, portion: portion) == .hello(expected))
            #expect(Self.inspect(hello.dropLast(), portion: portion) == .needsMore)
        }
    }

    @Test("a hello without the extension has no name")
    func noServerName() {
        let hello = ClientHelloParser.Hello(serverName: nil, applicationProtocols: ["h2", "http/1.1"])
        #expect(Self.inspect(ClientHellos.make(serverName: nil), portion: 50) == .hello(hello))
    }

    /// Sizes of the whole hello, with its records' heads: what Envoy 1.40 was seen to do with them.
    @Test(
        "16 KiB are looked at, records' heads included",
        arguments: [
            (16_384, 16_384, true), (16_385, 16_384, false), (16_384, 1000, true), (16_385, 1000, false),
            (40_000, 16_384, false),
        ])
    func limit(size: Int, record: Int, isTaken: Bool) {
        let empty = ClientHellos.make(serverName: "a.org", padding: 1, recordSize: record).count
        var hello: [UInt8] = []
        var padding = max(size - empty - 120, 1)
        while hello.count < size {
            hello = ClientHellos.make(serverName: "a.org", padding: padding, recordSize: record)
            padding += 1
        }
        // A record's head more may have come with the last byte.
        #expect(hello.count - size < 6)
        for portion in [1, 1000, 100_000] {
            var inspector = ConnectionInspector([.tlsInspector, .httpInspector])
            var findings: ConnectionInspector.Findings?
            var rest = hello[...]
            while !rest.isEmpty, findings == nil, inspector?.isHelloTooLarge == false {
                findings = inspector?.feed(rest.prefix(portion))
                rest = rest.dropFirst(portion)
            }
            #expect(findings?.serverName == (isTaken ? "a.org" : nil))
            #expect(inspector?.isHelloTooLarge == !isTaken)
        }
    }

    @Test("a hello that says to be longer than 16 KiB is no TLS, once its first record is whole")
    func announced() {
        let hello = ClientHellos.make(serverName: "a.org", padding: 20_000, recordSize: 1000)
        var inspector = ConnectionInspector([.tlsInspector])
        #expect(inspector?.feed(hello.prefix(1004)) == nil)
        #expect(inspector?.feed(hello[1004..<1005])?.transportProtocol == .rawBuffer)
    }

    @Test("what is not TLS is known at its first wrong byte; too much is not taken")
    func notTLS() {
        #expect(Self.inspect(Array("GET /".utf8), portion: 1) == .notTLS)
        #expect(Self.inspect(Array("GET ".utf8), portion: 1) == .needsMore)
        #expect(Self.inspect([22, 4, 1, 0, 5], portion: 1) == .notTLS)
        #expect(Self.inspect([22, 3, 1, 0, 0], portion: 5) == .notTLS)
        #expect(Self.inspect([22, 3, 1, 0, 5, 2], portion: 6) == .notTLS)
        #expect(Self.inspect([22, 3, 1, 0, 5, 1, 2, 0, 0, 0], portion: 9) == .notTLS)
        var wrong = ClientHellos.make(serverName: "a.org")
        // The session id's length now points beyond the end.
        wrong[5 + 4 + 34] = 255
        #expect(Self.inspect(wrong, portion: 10) == .notTLS)
    }

    @Test(
        "HTTP is recognised by its request line",
        arguments: [
            ("GET / HTTP/1.1\r\n", HTTPInspector.Result.http("http/1.1")), ("GET / HTTP/1.0\r\n", .http("http/1.0")),
            ("M-SEARCH * HTTP/1.1\n", .http("http/1.1")), ("\r\nGET / HTTP/1.1\r\n", .notHTTP),
            ("GET / HTTP/1.1", .needsMore), ("GE", .needsMore),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", .http("h2c")), ("PRI * HTTP/2.0\r\n", .needsMore),
            ("P", .needsMore), ("PX", .needsMore), ("GET /\r\n", .notHTTP),
            ("GET / HTTP/2.0\r\n", .http("http/1.0")), ("PRI * HTTP/2.0\r\n\r\nXX", .http("http/1.0")),
            ("EHLO x", .needsMore), ("EHLO x\r", .notHTTP), ("\u{16}", .notHTTP),
            ("FOO / HTTP/1.1\r\n", .http("http/1.1")), ("G(T / HTTP/1.1\r\n", .notHTTP),
        ])
    func http(_ text: String, _ expected: HTTPInspector.Result) {
        var whole = HTTPInspector()
        #expect(whole.feed(Array(text.utf8)) == expected)
        var pieces = HTTPInspector()
        #expect(text.utf8.map { pieces.feed([$0]) }.last == expected)
    }

    private static func sniListener(_ address: IPEndpoint, _ target: IPEndpoint, fallback: Bool) -> ProxyConfiguration {
        let chain = FilterChain(
            name: "google", match: FilterChainMatch(serverNames: ["www.google.com"], transportProtocol: .tls),
            filter: .tcpProxy(TCPProxy(cluster: "google")), origin: "ServiceEntry default/google, se.yaml:1")
        let rest = FilterChain(name: "rest", filter: .tcpProxy(TCPProxy(cluster: "BlackHoleCluster")))
        let listener = Listener(
            name: "0.0.0.0_443", addresses: [address], trafficDirection: .outbound, bindToPort: true,
            useOriginalDestination: true, listenerFilters: [.tlsInspector], filterChains: [chain],
            defaultFilterChain: fallback ? rest : nil)
        return ProxyConfiguration(
            node: ProxyConfiguration.testNode, listeners: [listener],
            clusters: [
                .fixed([target], name: "google"), Cluster(name: "BlackHoleCluster", discovery: .staticEndpoints),
            ],
            accessLogs: [AccessLogConfiguration(format: .istioText)])
    }

    @Test("TLS is passed on by its server name, byte for byte, one byte at a time")
    func passthrough() async throws {
        let origin = try Origin.echo()
        try await TestBench.run({ Self.sniListener($0, origin.endpoint, fallback: true) }) { bench in
            let hello = ClientHellos.make(serverName: "www.google.com", recordSize: 40)
            let client = try bench.connect()
            for byte in hello { try client.send([byte]) }
            var echoed: [UInt8] = []
            while echoed.count < hello.count { echoed += try client.receive() }
            #expect(echoed == hello)
            client.close()
            let record = try #require(bench.record())
            #expect(record.requestedServerName == "www.google.com" && record.upstreamCluster == "google")
            #expect(record.bytesReceived == UInt64(hello.count))
            #expect(record.filterChainName == "google")
            #expect(record.origin == "ServiceEntry default/google, se.yaml:1")
        }
    }

    @Test("another server name meets the black hole, and is logged")
    func otherName() async throws {
        let origin = try Origin.echo()
        try await TestBench.run({ Self.sniListener($0, origin.endpoint, fallback: true) }) { bench in
            let client = try bench.connect()
            try client.send(ClientHellos.make(serverName: "other.org"))
            #expect(client.receivesNothing)
            let record = try #require(bench.record())
            #expect(record.responseFlags == ["UH"] && record.requestedServerName == "other.org")
            #expect(record.bytesReceived == 0)
        }
    }

    @Test("no chain: NR, filter_chain_not_found, with the name as sent")
    func noChain() async throws {
        let origin = try Origin.echo()
        try await TestBench.run({ Self.sniListener($0, origin.endpoint, fallback: false) }) { bench in
            let client = try bench.connect()
            try client.send(ClientHellos.make(serverName: "other.org"))
            #expect(client.receivesNothing)
            var record = try #require(bench.record())
            record.durationMs = 0
            let line = AccessLogFormatter(.istioText).line(for: record)
            #expect(line.contains(#""- - -" 0 NR filter_chain_not_found - "-" 0 0 0 - "#))
            #expect(line.hasSuffix(" other.org -"))
            let name = "listener.127.0.0.1_\(bench.address.port).no_filter_chain_match"
            #expect(bench.proxy.statistic(name) == 1)
        }
    }

    @Test("a time limit for the inspectors goes on without findings")
    func inspectionTimeout() async throws {
        let origin = try Origin { try $0.send("220 hi\r\n") }
        try await TestBench.run({ address in
            var configuration = ProxyConfiguration.tcp(
                at: address, to: .fixed([origin.endpoint]), filters: [.tlsInspector, .httpInspector])
            configuration.listeners[0].listenerFiltersTimeoutMs = 20
            return configuration
        }) { bench in
            let client = try bench.connect()
            #expect(try client.receiveAll() == Array("220 hi\r\n".utf8))
        }
    }
}
