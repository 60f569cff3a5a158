import NetworkAddresses
import ProxyModel
import TestSupport
import Testing

@testable import Proxy

@Suite("RBAC decides as Envoy does")
struct AuthorizationTests {
    private static func request(
        _ method: String = "GET", _ path: String = "/", authority: String = "a.org", _ fields: (String, String)...
    ) throws -> HTTPRequest {
        try HTTPRequest(
            HTTPRequestHead(
                method: method, path: path, authority: authority, scheme: "http", fields: HTTPFields(fields),
                version: .http11), keepsAlive: true, upgrade: nil)
    }

    private static func subject(_ request: HTTPRequest? = nil, serverName: String? = nil) -> AuthorizationSubject {
        let connection = DownstreamConnection(
            id: 1, source: IPEndpoint(IPAddress(10, 0, 0, 5), 40_000),
            destination: IPEndpoint(IPAddress(10, 0, 0, 9), 8080))
        connection.serverName = serverName
        return AuthorizationSubject(connection, request: request)
    }

    private static func matches(_ permission: RBACPermission, _ subject: AuthorizationSubject) throws -> Bool {
        let policy = RBACPolicy(name: "p", permissions: [permission], principals: [.any])
        return try CompiledRBACRules(RBACRules(action: .allow, policies: [policy])).decide(subject).isAllowed
    }

    private static func matches(_ principal: RBACPrincipal, _ subject: AuthorizationSubject) throws -> Bool {
        let policy = RBACPolicy(name: "p", permissions: [.any], principals: [principal])
        return try CompiledRBACRules(RBACRules(action: .allow, policies: [policy])).decide(subject).isAllowed
    }

    @Test("ALLOW wants a match, DENY none, LOG lets everything through; nothing matches no policies")
    func actions() throws {
        func decide(_ action: RBACRules.Action, _ permission: RBACPermission?) throws -> Bool {
            let policies = permission.map { [RBACPolicy(name: "p", permissions: [$0], principals: [.any])] } ?? []
            return try CompiledRBACRules(RBACRules(action: action, policies: policies)).decide(Self.subject()).isAllowed
        }
        #expect(try decide(.allow, .any))
        #expect(try !decide(.allow, .not(.any)))
        #expect(try !decide(.allow, nil))
        #expect(try !decide(.deny, .any))
        #expect(try decide(.deny, .not(.any)))
        #expect(try decide(.deny, nil))
        #expect(try decide(.log, .any))
        #expect(try decide(.log, nil))
    }

    @Test("The policy that is named is the first by name, whatever the order they are given in")
    func names() throws {
        let policies = ["b", "a-9", "a"].map {
            RBACPolicy(name: $0, permissions: [.any], principals: [.any], origin: "line of \($0)")
        }
        let decision = try CompiledRBACRules(RBACRules(action: .deny, policies: policies)).decide(Self.subject())
        #expect(decision.policy == "a")
        #expect(decision.origin == "line of a")
    }

    @Test(
        "Hosts fold case and keep their port",
        arguments: [("a.org", true), ("A.Org", true), ("a.org:80", false), ("b.a.org", false)])
    func hosts(_ authority: String, _ expected: Bool) throws {
        let match = RBACHeaderMatch(name: ":authority", match: .exact("a.org"), ignoresCase: true)
        #expect(
            try Self.matches(RBACPermission.header(match), Self.subject(Self.request(authority: authority))) == expected
        )
    }

    @Test("Each value of a header counts by itself")
    func severalValues() throws {
        let request = try Self.request("GET", "/", authority: "a.org", ("x-token", "a"), ("x-token", "b"))
        let subject = Self.subject(request)
        #expect(try Self.matches(RBACPrincipal.header(RBACHeaderMatch(name: "x-token", match: .exact("b"))), subject))
        #expect(
            try !Self.matches(RBACPrincipal.header(RBACHeaderMatch(name: "x-token", match: .exact("a,b"))), subject))
        #expect(
            try !Self.matches(RBACPrincipal.header(RBACHeaderMatch(name: "x-none", match: .present)), subject))
    }

    @Test(
        "Templates stand for segments",
        arguments: [
            ("/users/*/x", "/users/a/x?q", true), ("/users/*/x", "/users//x", false),
            ("/users/*/x", "/users/a/b/x", false), ("/f/**", "/f/", true), ("/f/**", "/f/a/b", true),
            ("/f/**", "/f", false), ("/f/**/x", "/f//x", true), ("/f/**/x", "/f/a/b/x", true),
            ("/a.b/*", "/axb/c", false),
        ])
    func templates(_ template: String, _ path: String, _ expected: Bool) throws {
        #expect(try Self.matches(.uriTemplate(template), Self.subject(Self.request("GET", path))) == expected)
    }

    @Test("Addresses, ports and SNI are there without a request; headers and paths are not")
    func bytes() throws {
        let subject = Self.subject(serverName: "www.a.org")
        let block = try #require(IPPrefix("10.0.0.0/24"))
        #expect(try Self.matches(RBACPermission.destinationPort(8080), subject))
        #expect(try Self.matches(RBACPermission.destinationIP(block), subject))
        #expect(try Self.matches(RBACPermission.requestedServerName(.suffix(".a.org")), subject))
        #expect(try Self.matches(RBACPrincipal.directRemoteIP(block), subject))
        #expect(try !Self.matches(RBACPermission.urlPath(.prefix("/")), subject))
        #expect(try !Self.matches(RBACPermission.header(RBACHeaderMatch(name: ":method", match: .present)), subject))
        #expect(try !Self.matches(RBACPrincipal.authenticated(.regex(".*")), subject))
        #expect(try !Self.matches(RBACPrincipal.claim(["iss"], .regex(".*")), subject))
    }

    @Test("The client is the last that x-forwarded-for names")
    func client() throws {
        let request = try Self.request(
            "GET", "/", authority: "a.org", ("x-forwarded-for", "192.0.2.1, 198.51.100.7"))
        let (first, last) = (try #require(IPPrefix("192.0.2.1")), try #require(IPPrefix("198.51.100.7")))
        #expect(try Self.matches(RBACPrincipal.remoteIP(last), Self.subject(request)))
        #expect(try !Self.matches(RBACPrincipal.remoteIP(first), Self.subject(request)))
        #expect(try !Self.matches(RBACPrincipal.directRemoteIP(last), Self.subject(request)))
    }

    @Test("A connection's first bytes are refused once its upstream stands, and nothing of them goes on")
    func refusedBytes() async throws {
        let origin = try Origin.echo()
        let rules = RBACRules(action: .allow, policies: [], origin: "AuthorizationPolicy a/b, c.yaml:1")
        try await TestBench.run({ address in
            var configuration = ProxyConfiguration.tcp(at: address, to: .fixed([origin.endpoint]))
            for index in configuration.listeners[0].filterChains.indices {
                configuration.listeners[0].filterChains[index].authorization = [RBAC(rules: rules)]
            }
            configuration.listeners[0].defaultFilterChain?.authorization = [RBAC(rules: rules)]
            return configuration
        }) { bench in
            let client = try bench.connect()
            try client.send("hello")
            #expect(try client.receiveAll().isEmpty)
            let record = try #require(bench.record())
            #expect(record.connectionTerminationDetails == "rbac_access_denied_matched_policy[none]")
            #expect(record.responseFlags.isEmpty && record.bytesReceived == 5 && record.bytesSent == 0)
            #expect(record.upstreamHost == origin.endpoint)
            #expect(record.origin == "AuthorizationPolicy a/b, c.yaml:1")
            #expect(bench.proxy.statistic("tcp.rbac.denied") == 1)
            #expect(bench.proxy.statistic("cluster.target.upstream_cx_tx_bytes_total") == 0)
        }
    }

    @Test(
        "Paths are normalised as far as the mesh asks",
        arguments: [
            (PathNormalizationMode.none, "/a/../b", "/a/../b"), (.base, "/a/../b", "/b"), (.base, "/a//b", "/a//b"),
            (.mergeSlashes, "/a//b?c=//", "/a/b?c=//"), (.mergeSlashes, "/a%2F/b", "/a%2F/b"),
            (.decodeAndMergeSlashes, "/a%2F%5cb?c=%2F", "/a/b?c=%2F"),
        ])
    func normalization(_ mode: PathNormalizationMode, _ path: String, _ expected: String) {
        #expect(PathNormalization.normalized(path, mode) == expected)
    }
}
