import NetworkAddresses
import ProxyModel
import Testing

@testable import Lab

@Suite struct IstioMetricsTests {
    private static let node = ProxyNode(
        id: "sidecar~10.244.0.5~sleep-1.default~default", role: .sidecar, namespace: "default", pod: "sleep-1",
        workload: "sleep")

    private static func request(_ code: Int, _ cluster: String?, route: String? = nil) -> AccessLogRecord {
        var record = AccessLogRecord(kind: .http, streamID: 1, startTime: 0)
        record.responseCode = code
        record.upstreamCluster = cluster
        record.routeName = route
        record.authority = "x.example"
        record.durationMs = 7
        return record
    }

    @Test("routes that know no service count under the policy's own names")
    func policyNames() {
        let metrics = IstioMetrics(of: Self.node, pod: nil, in: MeshRegistry())
        metrics.count(Self.request(502, nil, route: "block_all"))
        metrics.count(Self.request(200, "PassthroughCluster", route: "allow_any"))
        let name = "istio_requests_total"
        #expect(
            metrics.value(of: name, labels: ["destination_service_name": "BlackHoleCluster", "response_code": "502"])
                == 1)
        #expect(metrics.value(of: name, labels: ["destination_service_name": "PassthroughCluster"]) == 1)
        #expect(metrics.value(of: name, labels: [:]) == 2)
        #expect(metrics.value(of: name, labels: ["response_code": "404"]) == nil)
    }

    @Test("names that clients make up don't make a proxy grow")
    func bounded() {
        let metrics = IstioMetrics(of: Self.node, pod: nil, in: MeshRegistry())
        for number in 0..<(IstioMetrics.seriesLimit + 500) {
            var record = Self.request(200, "PassthroughCluster", route: "allow_any")
            record.authority = "\(number).example"
            metrics.count(record)
        }
        let unknown = metrics.value(of: "istio_requests_total", labels: ["destination_service": "unknown"])
        #expect(unknown == 500)
        #expect(metrics.value(of: "istio_requests_total", labels: [:]) == UInt64(IstioMetrics.seriesLimit + 500))
    }

    @Test("durations are a histogram with cumulative buckets")
    func histogram() {
        let metrics = IstioMetrics(of: Self.node, pod: nil, in: MeshRegistry())
        metrics.count(Self.request(200, "outbound|80||x.example"))
        let lines = metrics.text.split(separator: "\n").filter { $0.hasPrefix("istio_request_duration") }
        #expect(lines.contains { $0.contains("_bucket{") && $0.contains(#"le="5"}"#) && $0.hasSuffix(" 0") })
        #expect(lines.contains { $0.contains("_bucket{") && $0.contains(#"le="10"}"#) && $0.hasSuffix(" 1") })
        #expect(lines.contains { $0.contains("_bucket{") && $0.contains(#"le="+Inf"}"#) && $0.hasSuffix(" 1") })
        #expect(lines.contains { $0.contains("_sum{") && $0.hasSuffix(" 7") })
    }
}
