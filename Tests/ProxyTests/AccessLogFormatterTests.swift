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
            AccessLogPiece.unknownOperators(in: "%HOSTNAME% %REQ(X-TEAM)% %RESP(X-A)% %REQ(X-B?:PATH)% %DURATION%")
                == ["%HOSTNAME%", "%REQ(X-TEAM)%", "%RESP(X-A)%"])
        #expect(line("%UPSTREAM_CLUSTER% %PROTOCOL%") == "outbound|80||httpbin.org HTTP/1.1")
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
