import NetworkAddresses
import ProxyModel
import TestSupport
import Testing

@testable import Proxy

/// Choices by hash are Envoy's own, number for number: `scenarios/routing/consistent-hash` compares them.
@Suite struct ConsistentHashTests {
    @Test(
        "the hash is xxHash's",
        arguments: [
            ("", 0, 0xEF46_DB37_51D8_E999), ("a", 0, 0xD24E_C4F1_A98C_6E5B), ("abc", 0, 0x44BC_2CF5_AD77_0999),
            ("Nobody inspects the spammish repetition", 0, 0xFBCE_A83C_8A37_8BF1),
        ] as [(String, UInt64, UInt64)])
    func hash(_ text: String, _ seed: UInt64, _ expected: UInt64) {
        #expect(XXHash64.hash(text, seed: seed) == expected)
        #expect(XXHash64.hash(text, seed: 1) != expected)
    }

    private static func table(_ names: [String], _ policy: LoadBalancingPolicy, weights: [Int]? = nil) -> HashTable? {
        var cluster = Cluster(name: "c", discovery: .staticEndpoints)
        cluster.loadBalancing = policy
        cluster.maglevTableSize = 251
        return HashTable(
            names.enumerated().map { HashTable.Host(key: $1, weight: weights?[$0] ?? 1) }, cluster: cluster)
    }

    @Test(
        "when a host goes, the others keep most of what they had", arguments: [LoadBalancingPolicy.ringHash, .maglev])
    func departure(_ policy: LoadBalancingPolicy) throws {
        let all = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]
        let before = try #require(Self.table(all, policy))
        let after = try #require(Self.table(Array(all.prefix(2)), policy))
        let hashes = (0..<1000).map { XXHash64.hash("client \($0)") }.filter { before.host(for: $0, attempt: 0) < 2 }
        let kept = hashes.count { after.host(for: $0, attempt: 0) == before.host(for: $0, attempt: 0) }
        #expect(hashes.count > 500 && kept * 100 > hashes.count * 70)
    }

    @Test("a host gets as much as its weight says", arguments: [LoadBalancingPolicy.ringHash, .maglev])
    func weights(_ policy: LoadBalancingPolicy) throws {
        let table = try #require(Self.table(["10.0.0.1:80", "10.0.0.2:80"], policy, weights: [1, 3]))
        let hits = (0..<4000).count { table.host(for: XXHash64.hash("client \($0)"), attempt: 0) == 1 }
        #expect((2600...3400).contains(hits))
        #expect(Self.table([], policy) == nil)
    }

    private static func request(_ fields: [(String, String)], path: String = "/") -> HTTPRequestHead {
        HTTPRequestHead(
            method: "GET", path: path, authority: "a.test", scheme: "http", fields: HTTPFields(fields), version: .http11
        )
    }

    private static func value(_ policies: [HashPolicy], _ head: HTTPRequestHead) -> UInt64? {
        RequestHash(policies, head: head, source: IPAddress(10, 0, 0, 9), connection: "a").value
    }

    @Test("what is hashed is the named part of a request, and nothing when it is missing")
    func parts() {
        let head = Self.request([("x-user", "alice"), ("cookie", "a=1; session=\"s1\"")], path: "/p?user=bob&x=%20#f")
        #expect(Self.value([.header("X-User")], head) == XXHash64.hash("alice"))
        #expect(Self.value([.header("x-other")], head) == nil)
        #expect(Self.value([.cookie(name: "session", ttlMs: nil, path: "")], head) == XXHash64.hash("s1"))
        #expect(Self.value([.cookie(name: "none", ttlMs: nil, path: "")], head) == nil)
        #expect(Self.value([.queryParameter("user")], head) == XXHash64.hash("bob"))
        #expect(Self.value([.queryParameter("x")], head) == XXHash64.hash("%20"))
        #expect(Self.value([.sourceIP], head) == XXHash64.hash("10.0.0.9"))
        let two = XXHash64.hash("alice")
        #expect(
            Self.value([.header("x-user"), .sourceIP], head) == ((two << 1) | (two >> 63)) ^ XXHash64.hash("10.0.0.9"))
    }

    @Test("a client without the cookie is given one that leads it to the same host again")
    func cookie() async throws {
        let origins = try (0..<4).map { try Origin.http("host \($0)") }
        var cluster = Cluster.fixed(origins.map(\.endpoint))
        cluster.loadBalancing = .ringHash
        let action = ForwardAction(
            clusters: [WeightedCluster(name: "target")],
            hashPolicies: [.cookie(name: "session", ttlMs: 60_000, path: "/")])
        let host = VirtualHost(name: "all", domains: ["*"], routes: [Route(action: .forward(action))])
        try await TestBench.run({ .http(at: $0, hosts: [host], clusters: [cluster]) }) { bench in
            func ask(_ fields: String) throws -> (head: String, body: String) {
                let client = try bench.connect()
                try client.send("GET / HTTP/1.1\r\nHost: a\r\n\(fields)\r\n")
                return try client.receiveMessage()
            }
            let first = try ask("")
            let field = try #require(first.head.split(separator: "\r\n").first { $0.hasPrefix("set-cookie: ") })
            #expect(field.hasSuffix("\"; Max-Age=60; Path=/; HttpOnly"))
            let cookie = field.dropFirst("set-cookie: ".count).prefix { $0 != ";" }
            for _ in 0..<5 {
                let next = try ask("Cookie: \(cookie)\r\n")
                #expect(next.body == first.body && !next.head.contains("set-cookie"))
            }
        }
    }
}
