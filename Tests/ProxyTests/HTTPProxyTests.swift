import NetworkAddresses
import Proxy
import ProxyModel
import TestSupport
import Testing

@Suite struct HTTPProxyTests {
    @Test("an allowed request is routed, and its line is as Envoy writes it")
    func allowed() async throws {
        let seen = Collector<String>()
        let origin = try Origin.http("hello", seen: seen)
        try await TestBench.run({
            .http(at: $0, hosts: [.all("httpbin.org"), .blockAll], clusters: [.fixed([origin.endpoint])])
        }) { bench in
            let client = try bench.connect()
            try client.send("GET /headers?x=1 HTTP/1.1\r\nHost: HTTPBIN.org:80\r\nUser-Agent: curl/8.5.0\r\n\r\n")
            let answer = try client.receiveMessage()
            #expect(answer.head.hasPrefix("HTTP/1.1 200 OK\r\n"))
            #expect(answer.body == "hello")
            #expect(answer.head.header("server") == "envoy")
            #expect(answer.head.header("x-envoy-upstream-service-time") != nil)
            #expect(answer.head.header("date")?.hasSuffix(" GMT") == true)

            let request = try #require(seen.all.first)
            #expect(request.hasPrefix("GET /headers?x=1 HTTP/1.1\r\n"))
            #expect(request.header("host") == "HTTPBIN.org:80")
            #expect(request.header("x-forwarded-proto") == "http")
            #expect(request.header("x-envoy-attempt-count") == "1")
            #expect(request.header("x-request-id")?.utf8.count == 36)
            #expect(request.header("x-forwarded-for") == nil)

            let record = try #require(bench.record())
            let local = try #require(bench.connecting()?.local)
            let line = try #require(bench.proxy.accessLogLines().first)
            let expected =
                #"] "GET /headers?x=1 HTTP/1.1" 200 - via_upstream - "-" 0 5 \#(record.durationMs) "#
                + #"\#(record.upstreamServiceTimeMs ?? 99) "-" "curl/8.5.0" "\#(record.requestID ?? "")" "#
                + #""HTTPBIN.org:80" "\#(origin.endpoint)" target \#(local) \#(bench.address) \#(client.local) - default"#
            #expect(line.hasSuffix(expected))
            #expect(bench.proxy.statistic("http.outbound_0.0.0.0_80;.downstream_rq_2xx") == 1)
            #expect(bench.proxy.statistic("cluster.target.upstream_rq_200") == 1)
        }
    }

    @Test("an unknown host is answered 502 by block_all, with no upstream")
    func blockAll() async throws {
        try await TestBench.run({ .http(at: $0, hosts: [.blockAll], clusters: []) }) { bench in
            let client = try bench.connect()
            for index in 0..<2 {
                try client.send("GET / HTTP/1.1\r\nHost: x.test\r\n\r\n")
                let answer = try client.receiveMessage()
                #expect(answer.head.hasPrefix("HTTP/1.1 502 Bad Gateway\r\n"))
                #expect(answer.head.header("content-length") == "0")
                #expect(answer.head.header("server") == "envoy")
                let record = try #require(bench.record(index))
                #expect(record.responseCodeDetails == "direct_response" && record.responseFlags.isEmpty)
                #expect(record.routeName == "block_all" && record.upstreamHost == nil)
                #expect(record.upstreamCluster == nil)
            }
        }
    }

    @Test("keep-alive requests share an upstream connection, and each record names it")
    func pooling() async throws {
        let origin = try Origin.http()
        try await TestBench.run({ .http(at: $0, hosts: [.all()], clusters: [.fixed([origin.endpoint])]) }) { bench in
            let client = try bench.connect()
            for index in 0..<5 {
                try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                #expect(try client.receiveMessage().body == "hello")
                #expect(bench.connecting(index)?.local == bench.connecting(0)?.local)
                #expect(bench.record(index)?.upstreamLocalAddress == bench.connecting(0)?.local)
            }
            #expect(bench.proxy.statistic("cluster.target.upstream_cx_total") == 1)
            #expect(bench.proxy.statistic("cluster.target.upstream_rq_total") == 5)
        }
    }

    @Test("pipelined requests are answered in order")
    func pipelining() async throws {
        let origin = try Origin { socket in
            while true {
                let head = try socket.receiveMessage().head
                if head.isEmpty { return }
                let path = String(head.split(separator: " ")[1])
                try socket.send("HTTP/1.1 200 OK\r\nContent-Length: \(path.utf8.count)\r\n\r\n\(path)")
            }
        }
        try await TestBench.run({
            .http(at: $0, hosts: [.all("a"), .blockAll], clusters: [.fixed([origin.endpoint])])
        }) { bench in
            let client = try bench.connect()
            var requests = ""
            for index in 0..<200 {
                requests += "GET /\(index) HTTP/1.1\r\nHost: \(index % 3 == 1 ? "other" : "a")\r\n\r\n"
            }
            try client.send(requests)
            for index in 0..<200 {
                let answer = try client.receiveMessage()
                if index % 3 == 1 {
                    #expect(answer.head.hasPrefix("HTTP/1.1 502"))
                } else {
                    #expect(answer.body == "/\(index)")
                }
            }
            let paths = (0..<200).map { bench.record($0)?.path }
            #expect(paths == (0..<200).map { "/\($0)" })
        }
    }

    @Test("refused three times: 503 with 121 bytes, URX,UF")
    func refused() async throws {
        let endpoint = Origin.refusing()
        try await TestBench.run({
            .http(at: $0, hosts: [.all(retries: .istio)], clusters: [.fixed([endpoint])])
        }) { bench in
            let client = try bench.connect()
            try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            let answer = try client.receiveMessage()
            #expect(answer.head.hasPrefix("HTTP/1.1 503 Service Unavailable\r\n"))
            #expect(answer.body.utf8.count == 121)
            let record = try #require(bench.record())
            #expect(record.responseFlags == ["URX", "UF"])
            let reason = "delayed_connect_error:_Connection_refused"
            #expect(
                record.responseCodeDetails
                    == "upstream_reset_before_response_started{remote_connection_failure|\(reason)}")
            #expect(record.upstreamTransportFailureReason == reason)
            #expect(record.upstreamHost == endpoint && record.upstreamLocalAddress == nil)
            #expect(record.bytesSent == 121)
            #expect(bench.proxy.statistic("cluster.target.upstream_cx_connect_fail") == 3)
            #expect(bench.proxy.statistic("cluster.target.upstream_rq_retry") == 2)
            #expect(bench.proxy.statistic("cluster.target.upstream_rq_503") == 1)
        }
    }

    @Test("three connect time-outs: 503 with 114 bytes")
    func connectTimeout() async throws {
        let silent = try SilentListener()
        try await TestBench.run({
            .http(
                at: $0, hosts: [.all(retries: .istio)], clusters: [.fixed([silent.endpoint], connectTimeoutMs: 30)])
        }) { bench in
            let client = try bench.connect()
            try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(try client.receiveMessage().body.utf8.count == 114)
            let record = try #require(bench.record())
            #expect(record.responseFlags == ["URX", "UF"])
            #expect(record.responseCodeDetails == "upstream_reset_before_response_started{connection_timeout}")
            #expect(record.upstreamTransportFailureReason == nil)
            #expect(record.durationMs >= 90)
        }
    }

    @Test("an upstream that closes before answering: UC, 95 bytes, no retry")
    func upstreamCloses() async throws {
        let origin = try Origin { _ = try $0.receiveText(until: "\r\n\r\n") }
        try await TestBench.run({
            .http(at: $0, hosts: [.all(retries: .istio)], clusters: [.fixed([origin.endpoint])])
        }) { bench in
            let client = try bench.connect()
            try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(try client.receiveMessage().body.utf8.count == 95)
            let record = try #require(bench.record())
            #expect(record.responseFlags == ["UC"] && record.responseCode == 503)
            #expect(record.responseCodeDetails == "upstream_reset_before_response_started{connection_termination}")
        }
    }

    @Test("an upstream that dies inside the body cuts the client's response: UPE, code 200")
    func upstreamDies() async throws {
        let origin = try Origin { socket in
            _ = try socket.receiveText(until: "\r\n\r\n")
            try socket.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        }
        try await TestBench.run({ .http(at: $0, hosts: [.all()], clusters: [.fixed([origin.endpoint])]) }) { bench in
            let client = try bench.connect()
            try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(try client.receiveMessage().body == "abc")
            let record = try #require(bench.record())
            #expect(record.responseFlags == ["UPE"] && record.responseCode == 200 && record.bytesSent == 3)
        }
    }

    @Test("a route's time limit: 504, UT, and the upstream is cut")
    func timeout() async throws {
        let cut = Collector<Bool>()
        let origin = try Origin { socket in
            _ = try socket.receiveText(until: "\r\n\r\n")
            cut.add(((try? socket.receive()) ?? []).isEmpty)
        }
        try await TestBench.run({
            .http(at: $0, hosts: [.all(timeoutMs: 60)], clusters: [.fixed([origin.endpoint])])
        }) { bench in
            let client = try bench.connect()
            try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            let answer = try client.receiveMessage()
            #expect(answer.head.hasPrefix("HTTP/1.1 504 Gateway Timeout\r\n"))
            #expect(answer.body == "upstream request timeout")
            let record = try #require(bench.record())
            #expect(record.responseFlags == ["UT"] && record.responseCodeDetails == "response_timeout")
            #expect(record.durationMs >= 60 && record.upstreamHost == origin.endpoint)
            #expect(bench.proxy.statistic("cluster.target.upstream_rq_timeout") == 1)
            #expect(cut.wait { $0.first } == true)
        }
    }

    @Test(
        "NR, NC and UH",
        arguments: [
            ("nr", 404, "NR", "route_not_found", ""), ("nc", 503, "NC", "cluster_not_found", ""),
            ("uh", 503, "UH", "no_healthy_upstream", "no healthy upstream"),
        ])
    func failures(_ host: String, _ code: Int, _ flag: String, _ details: String, _ body: String) async throws {
        let unmatched = VirtualHost(
            name: "nr", domains: ["nr"],
            routes: [
                Route(
                    match: RouteMatch(path: .exact("/only")),
                    action: .forward(ForwardAction(clusters: [WeightedCluster(name: "target")])))
            ])
        try await TestBench.run({
            .http(at: $0, hosts: [unmatched, .all("nc", to: "none"), .all("uh")], clusters: [.fixed([])])
        }) { bench in
            let client = try bench.connect()
            try client.send("GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n")
            let answer = try client.receiveMessage()
            #expect(answer.head.hasPrefix("HTTP/1.1 \(code) ") && answer.body == body)
            let record = try #require(bench.record())
            #expect(record.responseFlags == [flag] && record.responseCodeDetails == details)
            #expect(record.upstreamHost == nil)
        }
    }

    @Test("a request body is sent again on a retry, with the attempt's number")
    func retryWithBody() async throws {
        let seen = Collector<String>()
        let origin = try Origin { socket in
            while true {
                let message = try socket.receiveMessage()
                if message.head.isEmpty { return }
                seen.add(message.head + message.body)
                let status = message.head.header("x-envoy-attempt-count") == "3" ? "200 OK" : "503 Busy"
                try socket.send("HTTP/1.1 \(status)\r\nContent-Length: 2\r\n\r\nok")
            }
        }
        let policy = RetryPolicy(
            retryOn: ["retriable-status-codes"], numRetries: 2, retriableStatusCodes: [503], baseIntervalMs: 1)
        try await TestBench.run({
            .http(at: $0, hosts: [.all(retries: policy)], clusters: [.fixed([origin.endpoint])])
        }) { bench in
            let client = try bench.connect()
            try client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody")
            #expect(try client.receiveMessage().head.hasPrefix("HTTP/1.1 200"))
            #expect(seen.all.count == 3)
            #expect(seen.all.allSatisfy { $0.hasSuffix("\r\n\r\nbody") })
            #expect(bench.record()?.bytesReceived == 4)
        }
    }

    @Test("a client that leaves before the answer: DC, code 0, and the upstream is cut")
    func clientLeaves() async throws {
        let cut = Collector<Bool>()
        let asked = Collector<Bool>()
        let origin = try Origin { socket in
            _ = try socket.receiveText(until: "\r\n\r\n")
            asked.add(true)
            cut.add(((try? socket.receive()) ?? []).isEmpty)
        }
        try await TestBench.run({ .http(at: $0, hosts: [.all()], clusters: [.fixed([origin.endpoint])]) }) { bench in
            let client = try bench.connect()
            try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            _ = asked.wait { $0.first }
            client.close()
            let record = try #require(bench.record())
            #expect(record.responseFlags == ["DC"] && record.responseCode == 0)
            #expect(record.responseCodeDetails == "downstream_remote_disconnect")
            #expect(cut.wait { $0.first } == true)
            #expect(bench.closed())
        }
    }

    @Test(
        "what is not HTTP/1.1 goes to the default chain, HTTP/1.0 included",
        arguments: [
            "GET / HTTP/1.0\r\nHost: a\r\n\r\n", "\u{16}\u{3}\u{1}garbage", "EHLO me\r\n", "SSH-2.0-x\r\n",
        ])
    func notHTTP(_ bytes: String) async throws {
        try await TestBench.run({ .http(at: $0, hosts: [.blockAll], clusters: []) }) { bench in
            let client = try bench.connect()
            try client.send(bytes)
            #expect(client.receivesNothing)
            let record = try #require(bench.record())
            #expect(record.kind == .tcp && record.responseFlags == ["UH"])
        }
    }

    @Test("a silent client that leaves an inspecting listener gives no line, only a counter")
    func silentClient() async throws {
        try await TestBench.run({ .http(at: $0, hosts: [.blockAll], clusters: []) }) { bench in
            try bench.connect().close()
            #expect(bench.closed())
            #expect(bench.proxy.accessLogRecords().isEmpty)
            let name = "listener.127.0.0.1_\(bench.address.port).downstream_listener_filter_remote_close"
            #expect(bench.proxy.statistic(name) == 1)
        }
    }

    @Test("a kept connection that ends without an answer is UC, also behind an answer without a body")
    func endOfKeptConnection() async throws {
        let origin = try Origin { socket in
            _ = try socket.receiveMessage()
            try socket.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            _ = try socket.receiveMessage()
        }
        let make = { (address: IPEndpoint) in
            ProxyConfiguration.http(at: address, hosts: [.all()], clusters: [.fixed([origin.endpoint])])
        }
        try await TestBench.run(make) { bench in
            let client = try bench.connect()
            try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            _ = try client.receiveMessage()
            try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(try client.receiveMessage().head.hasPrefix("HTTP/1.1 503"))
            #expect(bench.record(1)?.responseFlags == ["UC"])
        }
    }
}
