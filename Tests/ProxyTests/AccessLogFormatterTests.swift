import NetworkAddresses
import Proxy
import ProxyModel
import Testing

@Suite struct AccessLogFormatterTests {
    private static func record() -> AccessLogRecord {
        var record = AccessLogRecord(kind: .http, streamID: 1, startTime: 1_548_332_231.640)
        record.method = "GET"
        record.path = "/headers"
        record.protocol = "HTTP/1.1"
        record.responseCode = 200
        record.responseCodeDetails = "via_upstream"
        record.bytesSent = 599
        record.durationMs = 214
        record.upstreamServiceTimeMs = 214
        record.userAgent = "curl/8.5.0"
        record.requestID = "U"
        record.authority = "httpbin.org"
        record.upstreamHost = IPEndpoint("203.0.113.67:80")
        record.upstreamCluster = "outbound|80||httpbin.org"
        record.upstreamLocalAddress = IPEndpoint("10.244.1.5:41000")
        record.downstreamLocalAddress = IPEndpoint("203.0.113.67:80")
        record.downstreamRemoteAddress = IPEndpoint("10.244.1.5:40998")
        record.routeName = "default"
        return record
    }

    @Test("Istio's text format")
    func istioText() {
        let expected =
            #"[2019-01-24T12:17:11.640Z] "GET /headers HTTP/1.1" 200 - via_upstream - "-" 0 599 214 214 "-" "#
            + #""curl/8.5.0" "U" "httpbin.org" "203.0.113.67:80" outbound|80||httpbin.org 10.244.1.5:41000 "#
            + "203.0.113.67:80 10.244.1.5:40998 - default"
        #expect(AccessLogFormatter(.istioText).line(for: Self.record()) == expected)
    }

    @Test("Istio's text format of 1.0 has neither details nor route")
    func istio10Text() {
        let expected =
            #"[2019-01-24T12:17:11.640Z] "GET /headers HTTP/1.1" 200 - 0 599 214 214 "-" "curl/8.5.0" "U" "#
            + #""httpbin.org" "203.0.113.67:80" outbound|80||httpbin.org - 203.0.113.67:80 "#
            + "10.244.1.5:40998 -"
        #expect(AccessLogFormatter(.istio10Text).line(for: Self.record()) == expected)
        // Document 000: HTTP had no upstream local address then, TCP had.
        var tcp = Self.record()
        tcp.kind = .tcp
        #expect(AccessLogFormatter(.istio10Text).line(for: tcp).contains("httpbin.org 10.244.1.5:41000 203"))
    }

    @Test("JSON: numbers stay numbers, absent values are null, keys are sorted, text is escaped")
    func json() {
        var record = Self.record()
        record.path = "/\"\\\u{1}"
        let format = AccessLogConfiguration.Format.json([
            "z": "%RESPONSE_CODE%", "a": "%REQUESTED_SERVER_NAME%", "p": "%REQ(:PATH)%", "m": "to %UPSTREAM_HOST%",
            "f": "%RESPONSE_FLAGS%", "u": "%UNKNOWN_OPERATOR%",
        ])
        let expected =
            #"{"a":null,"f":"-","m":"to 203.0.113.67:80","p":"/\"\\\u0001","u":null,"z":200}"#
        #expect(AccessLogFormatter(format).line(for: record) == expected)
    }

    @Test("percent signs, alternatives, lengths and newlines")
    func text() {
        func line(_ format: String) -> String { AccessLogFormatter(.text(format)).line(for: Self.record()) }
        #expect(line("100%% %REQ(X-NONE?:AUTHORITY):4%\n") == "100% http")
        #expect(line("50% done") == "50% done")
        #expect(
            line("[%START_TIME(%d/%b/%Y:%H:%M:%S.%3f %s)%] %DURATION%") == "[24/Jan/2019:12:17:11.640 1548332231] 214")
        #expect(line("%HOSTNAME%|%REQ(X-TEAM)%|100%") == "-|-|100%")
        #expect(
            AccessLogPiece.unknownOperators(in: "%HOSTNAME% %REQ(X-TEAM)% %REQS(X-A)% %NOTHING% %DURATION%")
                == ["%REQS(X-A)%", "%NOTHING%"])
        #expect(
            AccessLogPiece.operatorsWithoutValue(in: "%HOSTNAME% %UNIQUE_ID% %PATH(NQ)% %PATH(WQ:PATH)% %NOTHING%")
                == ["%UNIQUE_ID%", "%PATH(WQ:PATH)%"])
        #expect(line("%UPSTREAM_CLUSTER% %PROTOCOL%") == "outbound|80||httpbin.org HTTP/1.1")
    }

    @Test("operators for headers, paths, ports, flags and attempts")
    func moreOperators() {
        var record = Self.record()
        record.path = "/a?x=1&y=&z"
        record.requestHeaders = ["x-team": "blue"]
        record.responseHeaders = ["content-type": "text/plain"]
        record.responseTrailers = ["grpc-status": "0"]
        record.responseFlags = ["UF", "URX"]
        record.upstreamProtocol = "HTTP/2"
        record.upstreamAttempts = 3
        record.requestDurationMs = 4
        record.responseDurationMs = 14
        func line(_ format: String) -> String {
            AccessLogFormatter(.text(format), hostName: "sleep-1").line(for: record)
        }
        #expect(line("%REQ(X-NONE?X-TEAM)% %RESP(Content-Type):4% %TRAILER(GRPC-STATUS)%") == "blue text 0")
        #expect(
            line("%PATH(NQ)% %QUERY_PARAM(x)%,%QUERY_PARAM(y)%,%QUERY_PARAM(q)% %QUERY_PARAMS%") == "/a 1,,- x=1&y=&z")
        #expect(line("%RESPONSE_FLAGS_LONG%") == "UpstreamConnectionFailure,UpstreamRetryLimitExceeded")
        #expect(line("%UPSTREAM_PROTOCOL% %UPSTREAM_REQUEST_ATTEMPT_COUNT% %HOSTNAME%") == "HTTP/2 3 sleep-1")
        #expect(line("%REQUEST_DURATION% %RESPONSE_DURATION% %RESPONSE_TX_DURATION%") == "4 14 200")
        #expect(line("%UPSTREAM_REMOTE_PORT% %DOWNSTREAM_REMOTE_PORT% %DOWNSTREAM_LOCAL_PORT%") == "80 40998 80")
    }

    @Test(
        "filters choose by what is known of a request; what can't be worked out is not logged",
        arguments: [
            ("response.code >= 400", false), ("response.code == 200 && request.method == 'GET'", true),
            ("request.path.startsWith('/head') || response.code > 499", true),
            ("request.headers['x-team'] == 'blue'", true), ("request.headers['x-none'] == 'blue'", false),
            ("!(request.headers['x-none'] == 'blue')", false), ("'X-Team' in request.headers", true),
            ("!('x-none' in request.headers)", true), ("response.code in [200, 204]", true),
            ("has(upstream.transport_failure_reason)", false), ("!connection.mtls", true),
            ("request.url_path.matches('^/h.*s$') && size(request.host) == 11", true),
            ("response.code / 100 == 2 ? request.size == 0 : false", true),
            ("source.port == 40998 && destination.address == \"203.0.113.67:80\"", true),
            ("response.flags == 0", true), ("'a' + 'b' == 'ab' && 7 % 4 == 3 && -1 < 0", true),
            ("request.headers['x-none'] == 'a' || true", true), ("xds.cluster_name.endsWith('httpbin.org')", true),
            ("upstream.tls_version == 'TLSv1.3'", false), ("request.path", false),
        ])
    func filters(expression: String, isLogged: Bool) throws {
        _ = try LogExpression(expression)
        var record = Self.record()
        record.requestHeaders = ["x-team": "blue"]
        #expect(AccessLogFormatter(.istioText, filter: expression).logs(record) == isLogged)
    }

    @Test(
        "expressions that are none, or that ask for what is not known here, are told",
        arguments: [
            ("response.code >=", "it ends too early"), ("nothing == 1", "there is no attribute \"nothing\""),
            ("request.duration > 1", "the attribute request.duration is not supported yet"),
            ("response.code == 1)", ") is not expected there"), ("'open", "a string has no end"),
            ("has(1)", "has() argument must be a field selection"), ("request.path[0]", "only request.headers and"),
            ("request.path.trim()", "the function trim with these arguments is not supported yet"),
            ("#", "\"#\" means nothing there"),
        ])
    func wrongExpressions(expression: String, reason: String) {
        let error = #expect(throws: LogExpression.Invalid.self) { try LogExpression(expression) }
        #expect(error?.description.hasPrefix(reason) ?? false, "\(String(describing: error))")
    }

    @Test("an expression that is nested without end is refused, not followed")
    func nesting() {
        let deep = String(repeating: "(", count: 5000) + "true" + String(repeating: ")", count: 5000)
        #expect(throws: LogExpression.Invalid.self) { try LogExpression(deep) }
        #expect(throws: LogExpression.Invalid.self) { try LogExpression(String(repeating: "!", count: 5000) + "true") }
    }

    @Test(
        "times before and after 1970 and leap days",
        arguments: [
            (0.0, "1970-01-01T00:00:00.000Z"), (951_782_400.5, "2000-02-29T00:00:00.500Z"),
            (-1.0, "1969-12-31T23:59:59.000Z"), (4_102_444_799.999, "2099-12-31T23:59:59.999Z"),
        ])
    func times(_ seconds: Double, _ expected: String) {
        let record = AccessLogRecord(kind: .tcp, streamID: 1, startTime: seconds)
        #expect(AccessLogFormatter(.text("%START_TIME%")).line(for: record) == expected)
    }
}
