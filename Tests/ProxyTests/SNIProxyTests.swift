import NIOPosix
import NetworkAddresses
import Proxy
import ProxyModel
import TestSupport
import Testing

@Suite struct SNIProxyTests {
    /// A running proxy, and what it told.
    private struct Bench: Sendable {
        let proxy: SNIProxy
        let address: IPEndpoint
        let events: Collector<ProxyEvent>

        func record(_ index: Int = 0) -> AccessLogRecord? {
            events.wait { events in
                let records = events.compactMap { if case .record(_, let record) = $0 { record } else { nil } }
                return records.count > index ? records[index] : nil
            }
        }
    }

    private func run(
        to port: UInt16, _ names: [String: [IPAddress]] = [:], own: [IPAddress] = [], maximumConnections: Int = 10,
        _ body: (Bench) async throws -> Void
    ) async throws {
        let address = IPEndpoint(.loopbackIPv4, TestPorts.next())
        let events = Collector<ProxyEvent>()
        let proxy = SNIProxy(
            configuration: SNIProxyConfiguration(
                listen: [address], port: port, nameservers: [], maximumConnections: maximumConnections),
            context: CurrentNetworkContext(),
            resolver: TableResolver(names.mapValues { HostResolution(addresses: $0) }), ownAddresses: own,
            group: MultiThreadedEventLoopGroup.singleton
        ) { events.add($0) }
        try await proxy.start()
        do {
            try await body(Bench(proxy: proxy, address: address, events: events))
        } catch {
            await proxy.stop()
            throw error
        }
        await proxy.stop()
    }

    private func hello(_ name: String?) -> [UInt8] { ClientHellos.make(serverName: name) }

    @Test("the ClientHello is replayed to the server that it names, and bytes pass both ways")
    func relay() async throws {
        let origin = try Origin.echo()
        try await run(to: origin.endpoint.port, ["en.test": [.loopbackIPv4]]) { bench in
            let client = try BlockingSocket.connect(to: bench.address)
            let bytes = ClientHellos.make(serverName: "en.test", recordSize: 20)
            try client.send(Array(bytes.prefix(7)))
            try client.send(Array(bytes.dropFirst(7)))
            #expect(try client.receive(bytes.count) == bytes)
            try client.send("more")
            client.finishSending()
            #expect(try client.receiveAll() == Array("more".utf8))
            let record = try #require(bench.record())
            #expect(record.responseCode == 200)
            #expect(record.requestedServerName == "en.test")
            #expect(record.upstreamHost == origin.endpoint)
            // As nginx has it, the ClientHello itself is not counted.
            #expect(record.bytesSent == UInt64(bytes.count + 4) && record.bytesReceived == 4)
            let line = try #require(bench.proxy.lines().first)
            #expect(line.hasPrefix("127.0.0.1 ["))
            #expect(line.contains("] TCP [en.test]200 \(record.bytesSent) \(record.bytesReceived) 0."))
        }
    }

    @Test("the next address is tried when one refuses")
    func nextAddress() async throws {
        let origin = try Origin.echo()
        let other = try #require(IPAddress("127.0.0.77"))
        try await run(to: origin.endpoint.port, ["en.test": [other, .loopbackIPv4]]) { bench in
            let client = try BlockingSocket.connect(to: bench.address)
            try client.send(hello("en.test"))
            client.finishSending()
            #expect(try client.receiveAll() == hello("en.test"))
            #expect(bench.record()?.upstreamHost == origin.endpoint)
        }
    }

    @Test(
        "what can't be forwarded is closed without an answer, with nginx' status",
        arguments: [
            ("nx.test", "[nx.test]500 0 0 "), ("refused.test", "[refused.test]502 0 0 "), ("", "[]500 0 0 "),
            ("plain", "[-]500 0 0 "), ("self.test", "[self.test]403 0 0 "),
        ])
    func failures(name: String, expected: String) async throws {
        let own = try #require(IPAddress("127.0.0.9"))
        let refusing = Origin.refusing()
        try await run(
            to: refusing.port, ["refused.test": [.loopbackIPv4], "self.test": [own]], own: [own]
        ) { bench in
            let client = try BlockingSocket.connect(to: bench.address)
            if name == "plain" {
                try client.send("GET / HTTP/1.1\r\n\r\n")
            } else {
                try client.send(hello(name.isEmpty ? nil : name))
            }
            #expect(try client.receiveAll().isEmpty)
            _ = bench.record()
            let line = bench.proxy.lines().first ?? ""
            #expect(line.contains("TCP \(expected)"), "\(line)")
        }
    }

    @Test("a client that leaves within its handshake ends in a success without a name, as in nginx")
    func leaves() async throws {
        try await run(to: 1) { bench in
            for (count, expected) in [(0, "[-]200 0 0 "), (20, "[]200 0 0 ")] {
                let client = try BlockingSocket.connect(to: bench.address)
                try client.send(Array(hello("en.test").prefix(count)))
                client.finishSending()
                #expect(try client.receiveAll().isEmpty)
                _ = bench.record(count == 0 ? 0 : 1)
                let line = bench.proxy.lines().last ?? ""
                #expect(line.contains(expected), "\(line)")
            }
        }
    }

    @Test("a connection that leads back to the proxy by any way is refused when its ClientHello comes again")
    func loop() async throws {
        // A detour through another listener stands for the gateway before the proxy.
        let port = TestPorts.next()
        try await run(to: port, ["loop.test": [.loopbackIPv4]]) { bench in
            let detour = try BlockingSocket.listen(at: IPEndpoint(.loopbackIPv4, port))
            let client = try BlockingSocket.connect(to: bench.address)
            try client.send(hello("loop.test"))
            let arrived = try detour.accept()
            let back = try BlockingSocket.connect(to: bench.address)
            try back.send(hello("loop.test"))
            #expect(try back.receiveAll().isEmpty)
            #expect(bench.record()?.responseCode == 403)
            arrived.close()
            client.close()
            #expect(bench.record(1)?.responseCode == 200)
        }
    }

    @Test("more clients than it may serve are closed at once")
    func bound() async throws {
        try await run(to: 1, maximumConnections: 1) { bench in
            let first = try BlockingSocket.connect(to: bench.address)
            try first.send(Array(hello("en.test").prefix(3)))
            await bench.proxy.settle()
            let second = try BlockingSocket.connect(to: bench.address)
            let answer = (try? second.receiveAll()) ?? []
            #expect(answer.isEmpty)
            first.close()
            #expect(bench.record()?.responseCode == 200)
        }
    }
}
