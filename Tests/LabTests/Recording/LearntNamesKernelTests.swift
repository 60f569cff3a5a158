import Manifests
import Mesh
import Netlink
import NetworkAddresses
import Nftables
import TestSupport
import Testing

@testable import DNS
@testable import Lab

@Suite("What pods learn by lookups", .requiresRoot)
struct LearntNamesKernelTests {
    private static let pod = IPAddress(10, 244, 0, 3)
    private static let address = IPAddress(203, 0, 113, 21)

    private static let set = NameSet(
        ipv4: "names-1", ipv6: "names6-2", patterns: ["*.example.org"].compactMap { DomainPattern($0) },
        subjects: [pod])

    private static let ruleset = Ruleset(tables: [
        Table(
            name: NameSet.table,
            sets: [
                NamedSet(name: "names-1", keys: [.ipv4Address], flags: .timeout),
                NamedSet(name: "names6-2", keys: [.ipv6Address], flags: .timeout),
            ], chains: [])
    ])

    private func query(_ name: String, from client: IPAddress, ttl: UInt32) -> DNSServer.Query {
        DNSServer.Query(
            tuple: FiveTuple(.udp, from: IPEndpoint(client, 40_000), to: IPEndpoint(IPAddress(10, 96, 0, 10), 53)),
            question: DNSQuestion(
                name: name, type: .a, code: .noError, addresses: [Self.address], ttlSeconds: ttl))
    }

    @Test("an address is in the rules from its answer on, through changes of the rules, for as long as it lives")
    func lifetime() throws {
        try withScratchNamespace { namespace in
            let start = ContinuousClock.now
            let names = LearntNames(
                nowMs: { (ContinuousClock.now - start) / .milliseconds(1) }, failed: { Issue.record("\($0)") })
            let rules = try namespace.enter { try NftablesConnection() }
            try rules.install(names.filled(Self.ruleset, [Self.set], at: "node"))
            names.use(rules, at: "node")
            func isOpen() throws -> Bool { try NftReference.list(in: namespace).contains("203.0.113.21") }
            names.learn(query("example.org", from: Self.pod, ttl: 30))
            names.learn(query("a.example.org", from: IPAddress(10, 244, 0, 4), ttl: 30))
            #expect(try !isOpen())
            names.learn(query("a.example.org", from: Self.pod, ttl: 0))
            #expect(try isOpen())
            names.learn(query("b.a.example.org", from: Self.pod, ttl: 3))
            try rules.install(names.filled(Self.ruleset, [Self.set], at: "node"))
            #expect(try isOpen())
            let deadline = ContinuousClock.now + .seconds(10)
            while try isOpen(), ContinuousClock.now < deadline {}
            #expect(ContinuousClock.now < deadline)
        }
    }
}
