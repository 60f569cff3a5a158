import Manifests
import Mesh
import NetworkAddresses
import ProxyModel
import Testing

@testable import Lab

@Suite("What Istio 1.0's telemetry service logged") struct MixerRecordTests {
    private static let pod = ClusterPod(
        id: PodID(namespace: "default", name: "sleep-1"), workload: "sleep", workloadKind: "Deployment", index: 1,
        generation: 1, addresses: [IPAddress(172, 30, 109, 82)], labels: ["app": "sleep"], annotations: [:],
        spec: PodSpec(containers: []), node: "node",
        origin: Origin(kind: "Deployment", namespace: "default", name: "sleep", location: SourceLocation(file: "x")))

    private static func record(_ kind: AccessLogRecord.Kind, cluster: String?) -> AccessLogRecord {
        var record = AccessLogRecord(kind: kind, streamID: 1, startTime: 1_533_139_922)
        record.upstreamCluster = cluster
        record.downstreamRemoteAddress = IPEndpoint(IPAddress(172, 30, 109, 82), 55314)
        record.bytesReceived = 601
        record.bytesSent = 17766
        record.durationMs = 1289
        return record
    }

    private static func records(
        _ record: AccessLogRecord, role: ProxyNode.Role = .sidecar
    ) -> [MixerRecord] {
        MixerRecord.records(of: record, by: pod, role: role) { $0 == pod.addresses[0] ? pod : nil }
    }

    @Test("a request to a ServiceEntry's host is one record, as document 000 has it")
    func http() throws {
        var record = Self.record(.http, cluster: "outbound|80||httpbin.org")
        record.upstreamHost = IPEndpoint(IPAddress(35, 173, 6, 94), 80)
        record.method = "GET"
        record.path = "/headers"
        record.authority = "httpbin.org"
        record.responseCode = 200
        record.bytesSent = 599
        record.userAgent = "curl/7.60.0"
        let made = try #require(Self.records(record).first)
        #expect(Self.records(record).count == 1)
        let expected = [
            "instance": "accesslog.logentry.istio-system", "destinationServiceHost": "httpbin.org", "method": "GET",
            "url": "/headers", "responseCode": "200", "responseSize": "599", "protocol": "http",
            "reporter": "source", "httpAuthority": "httpbin.org", "sourceWorkload": "sleep",
            "sourceNamespace": "default", "userAgent": "curl/7.60.0", "connection_security_policy": "unknown",
            "sourceOwner": "kubernetes://apis/apps/v1/namespaces/default/deployments/sleep",
            "destinationIp": "I60GXg==", "sourceIp": "AAAAAAAAAAAAAP//rB5tUg==", "destinationName": "unknown",
            "sourcePrincipal": "", "latency": "1.289s", "time": "2018-08-01T16:12:02.000Z",
        ]
        for (key, value) in expected { #expect(made.fields[key] == value, "\(key)") }
        #expect(made.has("destinationIp", "35.173.6.94") && made.has("sourceIp", "172.30.109.82"))
        #expect(!made.has("destinationIp", "35.173.6.95"))
        #expect(made.line.contains(#""responseCode":200"#) && made.line.contains(#""url":"/headers""#))
    }

    @Test("a connection is a record at its open and one at its close, without the keys of requests")
    func tcp() throws {
        var record = Self.record(.tcp, cluster: "outbound|443||www.google.com")
        record.upstreamHost = IPEndpoint(IPAddress(172, 217, 161, 36), 443)
        record.requestedServerName = "www.google.com"
        let made = Self.records(record).map(\.fields)
        #expect(made.map { $0["connectionEvent"] } == ["open", "close"])
        #expect(made.map { $0["connectionDuration"] } == ["0s", "1.289s"])
        #expect(made.map { $0["totalReceivedBytes"] } == ["0", "601"])
        #expect(made[1]["sentBytes"] == "17766" && made[1]["requestedServerName"] == "www.google.com")
        #expect(made[1]["destinationIp"] == "rNmhJA==" && made[1]["sourceIp"] == "rB5tUg==")
        #expect(made.allSatisfy { $0["method"] == nil && $0["url"] == nil })
    }

    @Test("where a gateway leads a name to another service, no service is named")
    func otherService() throws {
        var record = Self.record(.tcp, cluster: "outbound|8443||sni-proxy.local")
        record.requestedServerName = "en.wikipedia.org"
        record.downstreamPeerURISAN = "spiffe://cluster.local/ns/sleep/sa/default"
        let made = try #require(Self.records(record, role: .gateway).first)
        #expect(made.fields["destinationServiceHost"] == "")
        #expect(made.fields["sourcePrincipal"] == "cluster.local/ns/sleep/sa/default")
    }

    @Test("what no service is known for is not reported", arguments: [nil, "PassthroughCluster", "BlackHoleCluster"])
    func unreported(cluster: String?) { #expect(Self.records(Self.record(.tcp, cluster: cluster)).isEmpty) }

    @Test(
        "durations are written as Go writes them",
        arguments: [
            (0, "0s"), (214, "214ms"), (1289, "1.289s"), (3000, "3s"), (61_500, "1m1.5s"), (3_600_000, "1h0m0s"),
        ] as [(UInt64, String)])
    func durations(milliseconds: UInt64, text: String) {
        #expect(GoDuration.text(milliseconds: milliseconds) == text)
    }
}
