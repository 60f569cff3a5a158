import DNS
import Glibc
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import NetworkAddresses
import Proxy
import Testing

@Suite("A DNS server that asks others")
struct DNSForwarderTests {
    private let loop = MultiThreadedEventLoopGroup.singleton.next()
    private let context = CurrentNetworkContext()

    private struct Known: DNSPartialResponder {
        func answer(name: String, type: DNSRecordType) -> DNSAnswer? {
            guard name == "known.test", let family = type.family else { return nil }
            return DNSAnswer(addresses: [IPAddress(240, 240, 0, 1)].filter { $0.family == family })
        }
    }

    /// What the forwarder told of, in order.
    private final class Told: Sendable {
        private let lines = NIOLockedValueBox<[String]>([])

        func note(_ event: DNSForwarder.Event) {
            let line =
                switch event {
                case .answering(let question): "answering \(question.map { "\($0.name) \($0.type) \($0.code)" } ?? "?")"
                case .asking(let question, let tuple, _):
                    "asking \(tuple.destination.port) for \(question.name) \(question.type) over \(tuple.transport)"
                case .asked: "asked"
                }
            lines.withLockedValue { $0.append(line) }
        }

        var all: [String] { lines.withLockedValue { $0 } }
    }

    private func upstream(_ records: [String: [IPAddress]]) throws -> DNSServer {
        try DNSServer(
            addresses: [.loopbackIPv4], port: 0, in: context, on: loop, responder: ZoneResponder(records: records))
    }

    private func server(
        asking servers: [IPEndpoint], _ onEvent: @escaping @Sendable (DNSForwarder.Event, DNSQuery) -> Void
    ) throws -> DNSServer {
        try DNSServer(
            addresses: [.loopbackIPv4], port: 0, in: context, on: loop,
            service: DNSForwarder(
                knowing: Known(), asking: servers, from: [.loopbackIPv4], in: context, onEvent: onEvent))
    }

    private func lookup(_ name: String, at server: DNSServer, _ families: [IPFamily] = [.ipv4]) async throws
        -> DNSResolution
    {
        let configuration = DNSClientConfiguration(nameservers: server.endpoints, attempts: 1)
        return try await DNSClient(in: context, configuration: configuration)
            .lookup(name, families: families, on: loop).result.get()
    }

    @Test("a known name is answered without asking, and exists in the family that it has no address of")
    func known() async throws {
        let told = Told()
        let server = try server(asking: []) { event, _ in told.note(event) }
        defer { server.close() }
        #expect(try await lookup("known.test", at: server).addresses == [IPAddress(240, 240, 0, 1)])
        await #expect(throws: DNSFailure.noData) { _ = try await lookup("known.test", at: server, [.ipv6]) }
        #expect(told.all == ["answering known.test A NOERROR", "answering known.test AAAA NOERROR"])
    }

    @Test("an unknown name is asked of the server, and the answer passed on, good or bad")
    func passedOn() async throws {
        let upstream = try upstream(["other.test": [IPAddress(192, 0, 2, 7)]])
        defer { upstream.close() }
        let told = Told()
        let server = try server(asking: upstream.endpoints) { event, _ in told.note(event) }
        defer { server.close() }
        let found = try await lookup("other.test", at: server)
        #expect(found.addresses == [IPAddress(192, 0, 2, 7)] && found.ttlSeconds == 30)
        await #expect(throws: DNSFailure.nameError) { _ = try await lookup("nosuch.test", at: server) }
        let port = upstream.endpoints[0].port
        #expect(
            told.all == [
                "asking \(port) for other.test A over udp", "asked", "answering other.test A NOERROR",
                "asking \(port) for nosuch.test A over udp", "asked", "answering nosuch.test A NXDOMAIN",
            ])
    }

    @Test("a long answer goes over TCP all the way")
    func long() async throws {
        let many = (0..<200).map { IPAddress(ipv4: 0xC000_0200 + UInt32($0)) }
        let upstream = try upstream(["many.test": many])
        defer { upstream.close() }
        let told = Told()
        let server = try server(asking: upstream.endpoints) { event, _ in told.note(event) }
        defer { server.close() }
        #expect(try await lookup("many.test", at: server).addresses.count == 200)
        let port = upstream.endpoints[0].port
        #expect(told.all.contains("asking \(port) for many.test A over tcp"))
    }

    @Test("a query that was seen dropped goes to the next server, and without one the client is told of the failure")
    func dropped() async throws {
        let silent = try BoundSocket.datagram(at: IPEndpoint(.loopbackIPv4, 0), in: context)
        defer { close(silent) }
        let upstream = try upstream(["other.test": [IPAddress(192, 0, 2, 7)]])
        defer { upstream.close() }
        let nowhere = try BoundSocket.localEndpoint(of: silent)
        let drop: @Sendable (DNSForwarder.Event, DNSQuery) -> Void = { event, _ in
            if case .asking(_, let tuple, let dropped) = event, tuple.destination == nowhere { dropped() }
        }
        let both = try server(asking: [nowhere] + upstream.endpoints, drop)
        defer { both.close() }
        #expect(try await lookup("other.test", at: both).addresses == [IPAddress(192, 0, 2, 7)])
        let one = try server(asking: [nowhere], drop)
        defer { one.close() }
        await #expect(throws: DNSFailure.serverFailure) { _ = try await lookup("other.test", at: one) }
    }

    @Test("a connection that sends no whole query is closed after its time")
    func incomplete() async throws {
        let taken = loop.makePromise(of: FiveTuple.self)
        let server = try DNSServer(
            addresses: [.loopbackIPv4], port: 0, in: context, on: loop,
            service: DNSForwarder(knowing: Known(), asking: [], from: [], in: context)
        ) { taken.succeed($0) }
        defer { server.close() }
        let channel = try await ClientBootstrap(group: loop).connect(to: SocketAddress(at: server.endpoints[0])).get()
        try await channel.writeAndFlush(ByteBuffer(string: "hello, are you a name server?")).get()
        #expect(try await taken.futureResult.get().transport == .tcp)
        try await channel.closeFuture.get()
    }
}
