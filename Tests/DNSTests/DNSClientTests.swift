import DNS
import Glibc
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import NetworkAddresses
import Proxy
import Testing

@Suite("DNS client and server")
struct DNSClientTests {
    private let loop = MultiThreadedEventLoopGroup.singleton.next()
    private let context = CurrentNetworkContext()

    private func server(
        _ records: [String: [IPAddress]], at address: IPAddress = .loopbackIPv4,
        onQuery: @escaping @Sendable (DNSServer.Query) -> Void = { _ in }
    ) throws -> DNSServer {
        try DNSServer(
            addresses: [address], port: 0, in: context, on: loop,
            responder: ZoneResponder(records: records, clusterDomain: "cluster.local"), onQuery: onQuery)
    }

    private func client(_ server: DNSServer, search: [String] = [], timeout: TimeAmount = .seconds(5)) -> DNSClient {
        DNSClient(
            in: context,
            configuration: DNSClientConfiguration(
                nameservers: server.endpoints, searchDomains: search, timeout: timeout))
    }

    @Test("Both families are asked from one socket, whose tuple is told before and seen by the server")
    func lookup() async throws {
        let seen = NIOLockedValueBox<[FiveTuple]>([])
        let told = NIOLockedValueBox<[FiveTuple]>([])
        let server = try server(["example.com": [IPAddress(192, 0, 2, 1), .loopbackIPv6]]) { query in
            seen.withLockedValue { $0.append(query.tuple) }
        }
        defer { server.close() }
        let lookup = client(server).lookup("example.com", families: [.ipv6, .ipv4], on: loop) { tuple in
            told.withLockedValue { $0.append(tuple) }
        }
        let result = try await lookup.result.get()
        #expect(result.addresses == [.loopbackIPv6, IPAddress(192, 0, 2, 1)] && result.ttlSeconds == 30)
        let tuples = told.withLockedValue { $0 }
        #expect(tuples.count == 1)
        #expect(seen.withLockedValue { $0 } == [tuples[0], tuples[0]])
    }

    @Test("Search domains are tried first for names with few dots")
    func search() async throws {
        let server = try server(["reviews.default.svc.cluster.local": [IPAddress(10, 0, 0, 1)]])
        defer { server.close() }
        let client = client(server, search: ["default.svc.cluster.local", "svc.cluster.local"])
        let result = try await client.lookup("reviews", families: [.ipv4], on: loop).result.get()
        #expect(result.name == "reviews.default.svc.cluster.local")
    }

    @Test("Failures are told apart")
    func failures() async throws {
        let server = try server(["v4.test": [IPAddress(192, 0, 2, 1)]])
        let client = client(server, search: ["svc.cluster.local"])
        await #expect(throws: DNSFailure.nameError) {
            _ = try await client.lookup("nosuch.test", families: [.ipv4, .ipv6], on: loop).result.get()
        }
        await #expect(throws: DNSFailure.noData) {
            _ = try await client.lookup("v4.test", families: [.ipv6], on: loop).result.get()
        }
        server.close()
        let port = try BoundSocket.connected(SOCK_DGRAM, to: IPEndpoint(.loopbackIPv4, 9), in: context)
        let nobody = DNSClientConfiguration(nameservers: [IPEndpoint(.loopbackIPv4, port.local.port)])
        close(port.descriptor)
        await #expect(throws: DNSFailure.unreachable) {
            _ = try await DNSClient(in: context, configuration: nobody)
                .lookup("a.test", families: [.ipv4], on: loop).result.get()
        }
    }

    @Test("A truncated answer is asked for again over TCP, from a tuple that is told too")
    func truncated() async throws {
        let told = NIOLockedValueBox<[FiveTuple]>([])
        let many = (0..<200).map { IPAddress(ipv4: 0xC000_0200 + UInt32($0)) }
        let server = try server(["many.test": many])
        defer { server.close() }
        let result = try await client(server).lookup("many.test", families: [.ipv4], on: loop) { tuple in
            told.withLockedValue { $0.append(tuple) }
        }.result.get()
        #expect(result.addresses.count == 200)
        #expect(told.withLockedValue { $0.map(\.transport) } == [.udp, .tcp])
    }

    @Test("A silent server's lookup ends when the lab saw its query dropped")
    func dropped() async throws {
        let silent = try BoundSocket.datagram(at: IPEndpoint(.loopbackIPv4, 0), in: context)
        defer { close(silent) }
        let told = loop.makePromise(of: FiveTuple.self)
        let configuration = DNSClientConfiguration(nameservers: [try BoundSocket.localEndpoint(of: silent)])
        let lookup = DNSClient(in: context, configuration: configuration)
            .lookup("a.test", families: [.ipv4], on: loop) { told.succeed($0) }
        lookup.attemptDropped(try await told.futureResult.get())
        await #expect(throws: DNSFailure.timeout) { _ = try await lookup.result.get() }
    }

    @Test("One server takes the same port of every IPv4 and every IPv6 address")
    func bothWildcards() async throws {
        let probe = try server([:])
        let port = try #require(probe.endpoints.first?.port)
        try await probe.close().get()
        let server = try DNSServer(
            addresses: [.anyIPv4, .anyIPv6], port: port, in: context, on: loop,
            responder: ZoneResponder(records: ["a.test": [IPAddress(192, 0, 2, 1)]]))
        defer { server.close() }
        for address in [IPAddress.loopbackIPv4, .loopbackIPv6] {
            let configuration = DNSClientConfiguration(nameservers: [IPEndpoint(address, port)])
            let result = try await DNSClient(in: context, configuration: configuration)
                .lookup("a.test", families: [.ipv4], on: loop).result.get()
            #expect(result.addresses.count == 1)
        }
    }

    @Test("A server on every address answers from the one that was asked")
    func wildcardServer() async throws {
        let server = try server(["a.test": [IPAddress(192, 0, 2, 1)]], at: .anyIPv4)
        defer { server.close() }
        let asked = IPEndpoint(IPAddress(127, 3, 2, 1), server.endpoints[0].port)
        let result = try await DNSClient(
            in: context, configuration: DNSClientConfiguration(nameservers: [asked])
        ).lookup("a.test", families: [.ipv4], on: loop).result.get()
        #expect(result.addresses == [IPAddress(192, 0, 2, 1)])
    }
}
