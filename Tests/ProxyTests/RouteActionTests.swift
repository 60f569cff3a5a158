import Proxy
import ProxyModel
import TestSupport
import Testing

/// What was observed of Envoy 1.40 with the same routes and requests.
@Suite struct RouteActionTests {
    private static func run(
        _ routes: Route..., clusters: [Cluster] = [], _ body: (TestBench) async throws -> Void
    ) async throws {
        let host = VirtualHost(name: "all", domains: ["*"], routes: routes)
        try await TestBench.run({ .http(at: $0, hosts: [host], clusters: clusters) }, body)
    }

    private static func ask(
        _ bench: TestBench, _ path: String = "/", host: String = "h.test", fields: String = "", body: String? = nil
    ) throws -> (head: String, body: String) {
        let client = try bench.connect()
        let length = body.map { "Content-Length: \($0.utf8.count)\r\n" } ?? ""
        try client.send(
            "\(body == nil ? "GET" : "POST") \(path) HTTP/1.1\r\nHost: \(host)\r\n\(fields)\(length)\r\n\(body ?? "")")
        return try client.receiveMessage()
    }

    /// The names and values of a head's fields but those that every message has.
    private static func fields(_ head: String) -> [String] {
        head.split(separator: "\r\n").dropFirst().map(String.init).filter { field in
            !["date:", "server:", "x-request-id:", "accept:", "x-envoy-upstream-service-time:"].contains {
                field.hasPrefix($0)
            }
        }
    }

    @Test(
        "redirects tell the URL that Envoy tells",
        arguments: [
            (RedirectAction(hostRedirect: "other.test", pathRedirect: "/new"), "h.test", "http://other.test/new?k=v"),
            (RedirectAction(pathRedirect: "/q?x=1"), "h.test:8080", "http://h.test:8080/q?x=1"),
            (RedirectAction(schemeRedirect: "https"), "h.test:80", "https://h.test/a?k=v"),
            (RedirectAction(schemeRedirect: "https"), "h.test:81", "https://h.test:81/a?k=v"),
            (
                RedirectAction(schemeRedirect: "https", portRedirect: 8443), "h.test:81",
                "https://h.test:8443/a?k=v"
            ),
            (RedirectAction(portRedirect: 81), "[2001:db8::1]", "http://[2001:db8::1]:81/a?k=v"),
            (RedirectAction(pathRedirect: "relative"), "h.test", "http://h.test/relative?k=v"),
        ])
    func redirect(_ action: RedirectAction, _ host: String, _ location: String) async throws {
        try await Self.run(Route(name: "r", action: .redirect(action))) { bench in
            let answer = try Self.ask(bench, "/a?k=v", host: host)
            #expect(answer.head.hasPrefix("HTTP/1.1 301 Moved Permanently\r\n"))
            #expect(Self.fields(answer.head) == ["location: \(location)", "content-length: 0"])
            let record = try #require(bench.record())
            #expect(record.responseCode == 301 && record.responseCodeDetails == "direct_response")
            #expect(record.responseFlags.isEmpty && record.upstreamCluster == nil && record.routeName == "r")
            #expect(bench.proxy.statistic("http.outbound_0.0.0.0_80.rq_direct_response") == 1)
        }
    }

    private static let mutations = HeaderMutations(
        requestHeadersToAdd: [
            HeaderValueOption(name: "x-set", value: "1"),
            HeaderValueOption(name: "x-add", value: "2", action: .append),
            HeaderValueOption(name: "user-agent", value: "ua2"),
            HeaderValueOption(name: "x-format", value: "%REQ(:path)%|%%|%PROTOCOL%|%REQ(x-absent)%"),
            HeaderValueOption(name: "x-empty", value: "%REQ(x-absent)%"),
        ],
        requestHeadersToRemove: ["X-Rm", "x-envoy-attempt-count"],
        responseHeadersToAdd: [
            HeaderValueOption(name: "x-up", value: "new"),
            HeaderValueOption(name: "x-multi", value: "b", action: .append),
            HeaderValueOption(name: "x-code", value: "%RESPONSE_CODE%"),
        ],
        responseHeadersToRemove: ["x-gone"])

    @Test("a route's header mutations come in Envoy's order, in requests, responses and the proxy's own answers")
    func headers() async throws {
        let seen = Collector<String>()
        let origin = try Origin { socket in
            seen.add(try socket.receiveMessage().head)
            try socket.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nx-up: 9\r\nx-multi: a\r\nx-gone: 1\r\n\r\nhi")
        }
        let forward = RouteAction.forward(ForwardAction(clusters: [WeightedCluster(name: "target")]))
        let lost = RouteAction.forward(ForwardAction(clusters: [WeightedCluster(name: "lost")]))
        try await Self.run(
            Route(match: RouteMatch(path: .prefix("/lost")), action: lost, headers: Self.mutations),
            Route(
                match: RouteMatch(path: .prefix("/own")), action: .directResponse(status: 418, body: "tea"),
                headers: Self.mutations),
            Route(action: forward, headers: Self.mutations), clusters: [.fixed([origin.endpoint])]
        ) { bench in
            let fields = "User-Agent: ua1\r\nx-rm: 1\r\nx-set: old\r\nx-add: old\r\n"
            let answer = try Self.ask(bench, "/hdr", fields: fields)
            let request = try #require(seen.all.first)
            #expect(
                Self.fields(request) == [
                    "host: h.test", "x-add: old", "x-forwarded-proto: http", "x-set: 1", "user-agent: ua2",
                    "x-format: /hdr|%|HTTP/1.1|", "x-add: 2",
                ])
            #expect(
                Self.fields(answer.head) == [
                    "content-length: 2", "x-multi: a", "x-up: new", "x-code: 200", "x-multi: b",
                ])
            #expect(bench.record()?.userAgent == "ua2")
            let own = try Self.ask(bench, "/own")
            #expect(
                Self.fields(own.head) == [
                    "x-up: new", "x-code: 0", "x-multi: b", "content-length: 3", "content-type: text/plain",
                ])
            #expect(try Self.ask(bench, "/lost").head.header("x-up") == "new")
        }
    }

    @Test("of a drawn cluster and its route, the route's mutations and host win")
    func weighted() async throws {
        let seen = Collector<String>()
        let origin = try Origin.http(seen: seen)
        func both(_ value: String) -> HeaderMutations {
            HeaderMutations(
                requestHeadersToAdd: [HeaderValueOption(name: "x-who", value: value)],
                responseHeadersToAdd: [HeaderValueOption(name: "x-who", value: value)])
        }
        let cluster = WeightedCluster(name: "target", headers: both("cluster"), hostRewrite: "cluster.test")
        try await Self.run(
            Route(
                match: RouteMatch(path: .prefix("/both")),
                action: .forward(ForwardAction(clusters: [cluster], hostRewrite: "route.test")),
                headers: both("route")),
            Route(action: .forward(ForwardAction(clusters: [cluster]))), clusters: [.fixed([origin.endpoint])]
        ) { bench in
            #expect(try Self.ask(bench, "/both").head.header("x-who") == "route")
            let first = try #require(seen.all.first)
            #expect(first.header("host") == "route.test" && first.header("x-who") == "route")
            #expect(first.header("x-envoy-original-host") == "cluster.test")
            #expect(try Self.ask(bench).head.header("x-who") == "cluster")
            let second = try #require(seen.all.last)
            #expect(second.header("host") == "cluster.test" && second.header("x-envoy-original-host") == nil)
            #expect(bench.record(1)?.authority == "cluster.test")
        }
    }

    @Test(
        "paths are rewritten where the match covers them, and the query stays",
        arguments: [
            (StringMatch.prefix("/old"), PathRewrite.prefix("/v2"), "/old/a?q=1", "/v2/a?q=1"),
            (.prefix("/"), .prefix("/v2"), "/a", "/v2a"),
            (.exact("/exact"), .prefix("/whole"), "/exact?q=1", "/whole?q=1"),
            (.regex("/rx/.*"), .prefix("/whole"), "/rx/a?q=/rx/b", "/whole?q=/rx/b"),
            (
                .prefix("/"), .regex(pattern: "^/rr/([^/]+)/(.*)$", substitution: "/\\2/at/\\1"),
                "/rr/one/two/x?q=/rr/a/b", "/two/x/at/one?q=/rr/a/b"
            ),
            (.prefix("/"), .regex(pattern: "x", substitution: "yy"), "/axbx?x", "/ayybyy?x"),
            (.prefix("/"), .regex(pattern: "none", substitution: "y"), "/a", "/a"),
        ])
    func rewrite(_ match: StringMatch, _ rewrite: PathRewrite, _ path: String, _ expected: String) async throws {
        let seen = Collector<String>()
        let origin = try Origin.http(seen: seen)
        let action = ForwardAction(
            clusters: [WeightedCluster(name: "target")], hostRewrite: "re.test", pathRewrite: rewrite)
        try await Self.run(
            Route(match: RouteMatch(path: match), action: .forward(action)), clusters: [.fixed([origin.endpoint])]
        ) { bench in
            _ = try Self.ask(bench, path)
            let request = try #require(seen.all.first)
            #expect(request.hasPrefix("GET \(expected) HTTP/1.1\r\n"))
            #expect(request.header("x-envoy-original-path") == path)
            #expect(request.header("host") == "re.test" && request.header("x-envoy-original-host") == "h.test")
            // The log shows the path as it was asked for, and the host as it went on.
            let record = try #require(bench.record())
            #expect(record.path == path && record.authority == "re.test")
        }
    }

    @Test("an abort answers in the route's place, at once or after a delay")
    func aborts() async throws {
        let fault = HTTPFault(abort: HTTPFault.Abort(status: .http(503)))
        let both = HTTPFault(
            delay: HTTPFault.Delay(fixedDelayMs: 50), abort: HTTPFault.Abort(status: .grpc(5)))
        let action = RouteAction.forward(ForwardAction(clusters: [WeightedCluster(name: "target")]))
        try await Self.run(
            Route(match: RouteMatch(path: .prefix("/both")), action: action, fault: both),
            Route(action: action, fault: fault), clusters: [.fixed([Origin.refusing()])]
        ) { bench in
            let answer = try Self.ask(bench)
            #expect(
                answer.head.hasPrefix("HTTP/1.1 503 Service Unavailable\r\n") && answer.body == "fault filter abort")
            #expect(answer.head.header("connection") == nil)
            let record = try #require(bench.record())
            #expect(record.responseFlags == ["FI"] && record.responseCodeDetails == "fault_filter_abort")
            #expect(record.upstreamCluster == "target" && record.upstreamHost == nil)

            let grpc = try Self.ask(bench, "/both", fields: "Content-Type: application/grpc\r\n")
            #expect(grpc.head.header("grpc-status") == "5" && grpc.head.header("connection") == nil)
            let delayed = try #require(bench.record(1))
            #expect(delayed.responseFlags == ["DI", "FI"] && delayed.durationMs >= 50)
            #expect(bench.proxy.statistic("http.outbound_0.0.0.0_80.fault.aborts_injected") == 2)
            #expect(bench.proxy.statistic("http.outbound_0.0.0.0_80.fault.delays_injected") == 1)
            #expect(bench.proxy.statistic("cluster.target.upstream_rq_503") == nil)
        }
    }

    @Test("a delay keeps the body and does not count toward the route's time limit")
    func delays() async throws {
        let seen = Collector<String>()
        let origin = try Origin.http(seen: seen)
        let action = ForwardAction(clusters: [WeightedCluster(name: "target")], timeoutMs: 1000)
        try await Self.run(
            Route(action: .forward(action), fault: HTTPFault(delay: HTTPFault.Delay(fixedDelayMs: 1200))),
            clusters: [.fixed([origin.endpoint])]
        ) { bench in
            let answer = try Self.ask(bench, body: "item=1")
            #expect(answer.head.hasPrefix("HTTP/1.1 200 OK\r\n"))
            #expect(seen.all.first?.hasSuffix("item=1") == true)
            #expect(bench.record()?.responseFlags == ["DI"])
        }
    }

    @Test("faults of 0 never happen, and a client that leaves ends a delay")
    func faultLimits() async throws {
        let never = HTTPFault(
            delay: HTTPFault.Delay(fixedDelayMs: 60_000, perMillion: 0),
            abort: HTTPFault.Abort(status: .http(500), perMillion: 0))
        let long = HTTPFault(delay: HTTPFault.Delay(fixedDelayMs: 60_000))
        try await Self.run(
            Route(
                match: RouteMatch(path: .prefix("/long")), action: .directResponse(status: 200, body: ""), fault: long),
            Route(action: .directResponse(status: 204, body: ""), fault: never)
        ) { bench in
            let answer = try Self.ask(bench)
            #expect(answer.head.hasPrefix("HTTP/1.1 204"))
            let client = try bench.connect()
            try client.send("GET /long HTTP/1.1\r\nHost: h\r\n\r\n")
            #expect(bench.becomes("http.outbound_0.0.0.0_80.fault.delays_injected", 1))
            client.close()
            #expect(bench.record(1)?.responseFlags == ["DI", "DC"])
        }
    }

    @Test("a mirror gets a whole copy, whose answer and absence nobody notices")
    func mirror() async throws {
        let (seen, copies) = (Collector<String>(), Collector<String>())
        let origin = try Origin.http("real", seen: seen)
        let copy = try Origin.http("copy", seen: copies)
        let policies = ["copy", "lost", "refusing"].map { RequestMirrorPolicy(cluster: $0) }
        let action = ForwardAction(
            clusters: [WeightedCluster(name: "target")], pathRewrite: .prefix("/new"), requestMirrorPolicies: policies)
        let never = ForwardAction(
            clusters: [WeightedCluster(name: "target")],
            requestMirrorPolicies: [RequestMirrorPolicy(cluster: "copy", perMillion: 0)])
        try await Self.run(
            Route(match: RouteMatch(path: .prefix("/never")), action: .forward(never)),
            Route(match: RouteMatch(path: .prefix("/old")), action: .forward(action)),
            clusters: [
                .fixed([origin.endpoint]), .fixed([copy.endpoint], name: "copy"),
                .fixed([Origin.refusing()], name: "refusing"),
            ]
        ) { bench in
            #expect(try Self.ask(bench, "/never").body == "real")
            #expect(try Self.ask(bench, "/old/a", host: "h.test:80", body: "item=1").body == "real")
            let request = try #require(copies.wait { $0.first })
            #expect(request.hasPrefix("POST /new/a HTTP/1.1\r\n") && request.hasSuffix("item=1"))
            #expect(request.header("host") == "h.test-shadow:80")
            #expect(request.header("x-envoy-internal") == "true" && request.header("x-forwarded-for") == "127.0.0.1")
            let original = try #require(seen.all.last)
            #expect(original.header("x-request-id") == request.header("x-request-id"))
            #expect(original.header("host") == "h.test:80" && original.header("x-envoy-internal") == nil)
            #expect(bench.becomes("cluster.refusing.upstream_cx_connect_fail", 1))
            #expect(bench.becomes("cluster.copy.upstream_rq_200", 1))
            #expect(copies.all.count == 1 && bench.proxy.accessLogRecords().count == 2)
        }
    }
}
