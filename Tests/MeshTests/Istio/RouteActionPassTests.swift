import Manifests
import ProxyModel
import Testing

@Suite("What VirtualService rules do besides choosing a destination")
struct RouteActionPassTests {
    private static let entries = Manifest.entry("a", "a.test", 80, "HTTP") + Manifest.entry("b", "b.test", 80, "HTTP")

    /// The routes of a.test with these rules.
    private func routes(_ rules: String) throws -> [Route] {
        let service = """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: rules}
            spec:
              hosts: [a.test]
              http:
            \(rules.split(separator: "\n").map { "  \($0)\n" }.joined())
            """
        let (configuration, diagnostics) = IstioFixture(Self.entries + service).compile()
        #expect(diagnostics.isEmpty)
        return try #require(configuration.table("80")?.host("a.test:80")?.routes)
    }

    @Test(
        "a redirect leaves out the port that its scheme implies",
        arguments: [
            ("{scheme: https, port: 443}", RedirectAction(schemeRedirect: "https")),
            ("{scheme: https, port: 80}", RedirectAction(schemeRedirect: "https", portRedirect: 80)),
            ("{uri: /x, derivePort: FROM_REQUEST_PORT}", RedirectAction(pathRedirect: "/x")),
            (
                "{scheme: https, derivePort: FROM_REQUEST_PORT, redirectCode: 308}",
                RedirectAction(responseCode: 308, schemeRedirect: "https", portRedirect: 80)
            ),
            ("{authority: b.test, derivePort: FROM_PROTOCOL_DEFAULT}", RedirectAction(hostRedirect: "b.test")),
            ("{port: 8080}", RedirectAction(portRedirect: 8080)),
        ])
    func redirect(_ text: String, _ expected: RedirectAction) throws {
        #expect(try routes("- redirect: \(text)").map(\.action) == [.redirect(expected)])
    }

    @Test("a direct response keeps its status, body and header changes")
    func directResponse() throws {
        let route = try #require(
            routes(
                """
                - directResponse: {status: 418, body: {string: tea}}
                  headers: {response: {set: {x-a: "1"}}}
                """
            ).first)
        #expect(route.action == .directResponse(status: 418, body: "tea"))
        #expect(route.headers == HeaderMutations(responseHeadersToAdd: [HeaderValueOption(name: "x-a", value: "1")]))
    }

    @Test("a lone destination's header changes follow the rule's, and its host counts only where the rule sets none")
    func loneDestination() throws {
        let rules = """
            - match: [{uri: {exact: /both}}]
              headers: {request: {set: {x-b: "1", x-a: "1", Host: rule.test}, add: {x-c: "1"}, remove: [x-d]}}
              route: [{destination: {host: b.test}, headers: {request: {set: {x-a: "2", Host: destination.test}}}}]
            - match: [{uri: {exact: /rewrite}}]
              rewrite: {authority: rewrite.test, uri: /new}
              headers: {request: {set: {":authority": rule.test}}}
              route: [{destination: {host: b.test}}]
            - route: [{destination: {host: b.test}, headers: {request: {set: {Host: destination.test}}}}]
            """
        let routes = try routes(rules)
        #expect(routes.map { $0.forward?.hostRewrite } == ["rule.test", "rewrite.test", "destination.test"])
        #expect(routes[1].forward?.pathRewrite == .prefix("/new") && routes[2].headers == nil)
        let headers = try #require(routes[0].headers)
        #expect(headers.requestHeadersToAdd.map(\.name) == ["x-a", "x-b", "x-c", "x-a"])
        #expect(headers.requestHeadersToAdd.map(\.action) == [.overwrite, .overwrite, .append, .overwrite])
        #expect(headers.requestHeadersToRemove == ["x-d"])
        #expect(routes[0].forward?.clusters == [WeightedCluster(name: "outbound|80||b.test")])
    }

    @Test("destinations among several keep their header changes to themselves")
    func severalDestinations() throws {
        let rules = """
            - route:
                - {destination: {host: a.test}, weight: 90}
                - destination: {host: b.test}
                  weight: 10
                  headers: {request: {set: {Host: b.inside}}, response: {add: {x-b: "1"}}}
            """
        let route = try #require(routes(rules).first)
        let headers = HeaderMutations(
            responseHeadersToAdd: [HeaderValueOption(name: "x-b", value: "1", action: .append)])
        #expect(route.headers == nil && route.forward?.hostRewrite == nil)
        #expect(
            route.forward?.clusters == [
                WeightedCluster(name: "outbound|80||a.test", weight: 90),
                WeightedCluster(name: "outbound|80||b.test", weight: 10, headers: headers, hostRewrite: "b.inside"),
            ])
    }

    @Test("faults and mirrors are counted in millionths; a mirror of nothing is none")
    func fractions() throws {
        let rules = """
            - match: [{uri: {exact: /fault}}]
              fault:
                delay: {fixedDelay: 2s, percentage: {value: 0.1}}
                abort: {grpcStatus: UNAVAILABLE}
              route: [{destination: {host: a.test}}]
            - match: [{uri: {exact: /mirror}}]
              mirrors:
                - {destination: {host: b.test}, percentage: {value: 12.5}}
              route: [{destination: {host: a.test}}]
            - mirror: {host: b.test}
              mirrorPercentage: {value: 0}
              rewrite: {uriRegexRewrite: {match: "^/a(.*)", rewrite: '\\1'}}
              route: [{destination: {host: a.test}}]
            """
        let routes = try routes(rules)
        #expect(
            routes[0].fault
                == HTTPFault(
                    delay: HTTPFault.Delay(fixedDelayMs: 2000, perMillion: 1000),
                    abort: HTTPFault.Abort(status: .grpc(14))))
        #expect(
            routes[1].forward?.requestMirrorPolicies
                == [RequestMirrorPolicy(cluster: "outbound|80||b.test", perMillion: 125_000)])
        #expect(routes[2].forward?.requestMirrorPolicies == nil)
        #expect(routes[2].forward?.pathRewrite == .regex(pattern: "^/a(.*)", substitution: "\\1"))
    }

    @Test("retries carry their back-off, and whether hosts that failed are tried again")
    func retries() throws {
        let rules = """
            - retries: {attempts: 4, retryOn: "5xx,418", backoff: 10ms, retryIgnorePreviousHosts: false}
              route: [{destination: {host: a.test}}]
            """
        #expect(
            try routes(rules).first?.forward?.retries
                == RetryPolicy(
                    retryOn: ["5xx", "retriable-status-codes"], numRetries: 4, retriableStatusCodes: [418],
                    baseIntervalMs: 10, avoidsPreviousHosts: false))
    }
}
