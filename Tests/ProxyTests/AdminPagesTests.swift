import NetworkAddresses
import Proxy
import ProxyModel
import TestSupport
import Testing

@Suite struct AdminPagesTests {
    private static func page(
        _ target: String, method: String = "GET", of proxy: BundledProxy
    ) async throws -> AdminAnswer {
        try #require(try await proxy.admin(AdminRequest(method: method, target: target)))
    }

    @Test("statistics are filtered by either spelling of a name, and come as text, JSON and for Prometheus")
    func statistics() async throws {
        let origin = try Origin.http()
        try await TestBench.run({ .http(at: $0, hosts: [.all()], clusters: [.fixed([origin.endpoint])]) }) { bench in
            let client = try bench.connect()
            try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            _ = try client.receiveMessage()
            let plain = try await Self.page("/stats?filter=0_80.downstream_rq_total", of: bench.proxy)
            #expect(plain.body == "http.outbound_0.0.0.0_80.downstream_rq_total: 1\n")
            let raw = try await Self.page("/stats?filter=0_80%3B.downstream_rq_total", of: bench.proxy)
            #expect(raw == plain)
            let json = try await Self.page("/stats?format=json&filter=downstream_rq_total", of: bench.proxy)
            #expect(json.body == #"{"stats":[{"name":"http.outbound_0.0.0.0_80.downstream_rq_total","value":1}]}"#)
            let used = try await Self.page("/stats?usedonly&filter=downstream_rq_[245]xx", of: bench.proxy)
            #expect(used.body == "http.outbound_0.0.0.0_80.downstream_rq_2xx: 1\n")
            let metrics = try await Self.page("/stats/prometheus?filter=downstream_rq_2xx", of: bench.proxy)
            #expect(
                metrics.body == """
                    # TYPE envoy_http_downstream_rq_xx counter
                    envoy_http_downstream_rq_xx{response_code_class="2",http_conn_manager_prefix="outbound_0.0.0.0_80"} 1

                    """)
            let wrong = try await Self.page("/stats?filter=(", of: bench.proxy)
            #expect(wrong.status == 400 && wrong.body == "Invalid re2 regex: missing ): (")
            #expect(try await Self.page("/reset_counters", method: "POST", of: bench.proxy).body == "OK\n")
            #expect(bench.proxy.statistic("http.outbound_0.0.0.0_80.downstream_rq_total") == 0)
        }
    }

    @Test("each host of a cluster has its connections and requests")
    func clusters() async throws {
        let origin = try Origin.http()
        try await TestBench.run({ .http(at: $0, hosts: [.all()], clusters: [.fixed([origin.endpoint])]) }) { bench in
            let client = try bench.connect()
            try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            _ = try client.receiveMessage()
            let page = try await Self.page("/clusters", of: bench.proxy).body
            for fact in ["cx_total::1", "rq_total::1", "rq_success::1", "rq_error::0", "health_flags::healthy"] {
                #expect(page.contains("::\(origin.endpoint)::\(fact)\n"))
            }
        }
    }

    @Test("what changes something is asked by POST; draining closes listeners until the next configuration")
    func changes() async throws {
        let origin = try Origin.echo()
        try await TestBench.run({ .tcp(at: $0, to: .fixed([origin.endpoint])) }) { bench in
            #expect(try await Self.page("/ready", of: bench.proxy) == AdminAnswer("LIVE\n"))
            let refused = try await Self.page("/drain_listeners", of: bench.proxy)
            #expect(refused == AdminAnswer(status: 405, "Method GET not allowed, POST required."))
            #expect(try await Self.page("/logging?rbac=nope", method: "POST", of: bench.proxy).status == 400)
            let levels = try await Self.page("/logging?rbac=debug", method: "POST", of: bench.proxy).body
            #expect(levels.contains("  rbac: debug\n") && levels.contains("  http: warning\n"))
            _ = try await Self.page("/drain_listeners", method: "POST", of: bench.proxy)
            #expect(try await Self.page("/ready", of: bench.proxy).status == 503)
            #expect(throws: (any Error).self) { try bench.connect() }
            try await bench.proxy.update(.tcp(at: bench.address, to: .fixed([origin.endpoint])))
            #expect(try await Self.page("/ready", of: bench.proxy).status == 200)
            _ = try bench.connect()
        }
    }

    @Test("a target's query is decoded, and what clients type unencoded is encoded for servers")
    func requests() {
        let request = AdminRequest(target: "/stats?filter=a%7C(b)+&usedonly")
        #expect(request.path == "/stats" && request.query == ["filter": "a|(b)+", "usedonly": ""])
        #expect(AdminRequest(target: "/stats?filter=a|(b)").encodedTarget == "/stats?filter=a%7C%28b%29")
    }
}
