import Proxy
import ProxyModel
import Testing

@Suite struct RoutingTests {
    struct Request: RoutableRequest {
        var method = "GET"
        var scheme = "http"
        var authority = "a.org"
        var path = "/"
        var headers: [String: String] = [:]
        func header(_ name: String) -> String? { headers[name] }
    }

    private static func host(_ name: String, _ domains: [String]) -> VirtualHost {
        VirtualHost(name: name, domains: domains, routes: [])
    }

    @Test(
        "domains: exact, longest suffix, longest prefix, star; port and case do not count",
        arguments: [
            ("a.org", "exact"), ("A.ORG:8080", "exact"), ("x.a.org", "suffix"), ("x.y.a.org", "longer"),
            ("www.test", "prefix"), ("other", "star"), ("[2001:db8::1]:80", "v6"), ("[2001:db8::1]", "v6"),
            ("203.0.113.1:80", "ip"), ("", "star"),
        ])
    func domains(_ authority: String, _ expected: String) throws {
        let table = try VirtualHostTable(
            RouteConfiguration(
                name: "80",
                virtualHosts: [
                    Self.host("star", ["*"]), Self.host("suffix", ["*.a.org"]), Self.host("longer", ["*.y.a.org"]),
                    Self.host("prefix", ["www.*"]), Self.host("exact", ["a.org", "a.org."]),
                    Self.host("v6", ["[2001:db8::1]"]), Self.host("ip", ["203.0.113.1"]),
                ]))
        #expect(table.virtualHost(forAuthority: authority)?.model.name == expected)
    }

    @Test("a port is part of the name where the configuration says so")
    func portCounts() throws {
        let table = try VirtualHostTable(
            RouteConfiguration(
                name: "80", virtualHosts: [Self.host("with", ["a.org:8080"]), Self.host("without", ["a.org"])],
                ignoresPortInHost: false))
        #expect(table.virtualHost(forAuthority: "a.org:8080")?.model.name == "with")
        #expect(table.virtualHost(forAuthority: "a.org:80") == nil)
    }

    private static func matches(_ match: RouteMatch, _ request: Request) throws -> Bool {
        let host = VirtualHost(
            name: "h", domains: ["*"],
            routes: [Route(match: match, action: .directResponse(status: 200, body: ""))])
        let table = try VirtualHostTable(RouteConfiguration(name: "r", virtualHosts: [host]))
        return table.virtualHost(forAuthority: "x")?.route(for: request) != nil
    }

    @Test(
        "paths",
        arguments: [
            (StringMatch.prefix("/a"), "/ab", false, true), (.prefix("/a"), "/b", false, false),
            (.exact("/a"), "/a?x=1", false, true), (.exact("/a"), "/a/", false, false),
            (.exact("/A"), "/a", true, true), (.suffix(".js"), "/x.js?v", false, true),
            (.regex("/[a-z]+"), "/abc", false, true), (.regex("/[a-z]+"), "/abc1", false, false),
            (.regex("/status/(418|200)"), "/status/418", false, true), (.present, "/", false, true),
        ])
    func paths(_ match: StringMatch, _ path: String, _ ignoresCase: Bool, _ expected: Bool) throws {
        let match = RouteMatch(path: match, ignoresCase: ignoresCase)
        #expect(try Self.matches(match, Request(path: path)) == expected)
    }

    @Test("headers, pseudo-headers and their inversion")
    func headers() throws {
        func field(_ name: String, _ match: StringMatch, inverted: Bool = false) -> RouteMatch {
            RouteMatch(headers: [RouteMatch.Field(name: name, match: match, inverted: inverted)])
        }
        let request = Request(method: "POST", headers: ["cookie": "user=jason"])
        #expect(try Self.matches(field(":method", .exact("POST")), request))
        #expect(try Self.matches(field(":authority", .suffix(".org")), request))
        #expect(try Self.matches(field("Cookie", .regex(".*jason")), request))
        #expect(try !Self.matches(field("cookie", .exact("x")), request))
        #expect(try !Self.matches(field("absent", .exact("x")), request))
        #expect(try Self.matches(field("absent", .exact("x"), inverted: true), request))
        #expect(try Self.matches(field("absent", .present, inverted: true), request))
        #expect(try !Self.matches(field("cookie", .present, inverted: true), request))
    }

    @Test("query parameters are decoded")
    func queryParameters() throws {
        let match = RouteMatch(queryParameters: [RouteMatch.Field(name: "a", match: .exact("x y"))])
        #expect(try Self.matches(match, Request(path: "/?b&a=x%20y")))
        #expect(try !Self.matches(match, Request(path: "/?a=x")))
        #expect(try !Self.matches(match, Request(path: "/")))
    }

    @Test("an invalid expression is refused by name")
    func invalidRegex() throws {
        let error = try #require(
            #expect(throws: RouteRegexError.self) { try Self.matches(RouteMatch(path: .regex("(")), Request()) })
        #expect(error.pattern == "(")
    }

    @Test("weights divide the range; 0 gets nothing")
    func weights() {
        let clusters = [
            WeightedCluster(name: "a", weight: 1), WeightedCluster(name: "b", weight: 0),
            WeightedCluster(name: "c", weight: 3),
        ]
        #expect(clusters.totalWeight == 4)
        #expect((0..<4).map { clusters.cluster(at: $0)?.name } == ["a", "c", "c", "c"])
        #expect([WeightedCluster(name: "z", weight: 0)].cluster(at: 0)?.name == "z")
    }

    @Test("retries follow the policy until they run out")
    func retries() {
        let istio = RetryPolicy.istio
        #expect(istio.decision(after: .connectFailure, retries: 0) == .retry)
        #expect(istio.decision(after: .connectFailure, retries: 2) == .limitExceeded)
        #expect(istio.decision(after: .reset, retries: 0) == .doNotRetry)
        #expect(istio.decision(after: .response(status: 503), retries: 0) == .doNotRetry)
        let codes = RetryPolicy(retryOn: ["gateway-error", "418"], numRetries: 1)
        #expect(codes.decision(after: .response(status: 503), retries: 0) == .retry)
        #expect(codes.decision(after: .response(status: 418), retries: 0) == .retry)
        #expect(codes.decision(after: .response(status: 500), retries: 0) == .doNotRetry)
        let grpc = RetryPolicy(retryOn: ["unavailable", "retriable-4xx", "reset-before-request"], numRetries: 1)
        #expect(grpc.decision(after: .response(status: 200, grpcStatus: 14), retries: 0) == .retry)
        #expect(grpc.decision(after: .response(status: 200, grpcStatus: 13), retries: 0) == .doNotRetry)
        #expect(grpc.decision(after: .response(status: 409), retries: 0) == .retry)
        #expect(grpc.decision(after: .connectFailure, retries: 0) == .retry)
        #expect(grpc.decision(after: .reset, retries: 0) == .doNotRetry)
        #expect(RetryPolicy(retryOn: ["5xx"], numRetries: 0).decision(after: .reset, retries: 0) == .doNotRetry)
        #expect(RetryPolicy(retryOn: ["reset"], numRetries: 1).decision(after: .perTryTimeout, retries: 0) == .retry)
    }
}
