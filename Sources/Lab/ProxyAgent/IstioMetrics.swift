import Mesh
import NIOConcurrencyHelpers
import NetworkAddresses
import Proxy
import ProxyModel

/// The mesh as metrics name it: which pod has an address.
final class MeshRegistry: Sendable {
    private let pods = NIOLockedValueBox<[IPAddress: ClusterPod]>([:])

    /// From now on these pods are the mesh.
    func watch(_ all: [ClusterPod]) {
        let table = Dictionary(all.flatMap { pod in pod.addresses.map { ($0, pod) } }) { $1 }
        pods.withLockedValue { $0 = table }
    }

    func pod(at address: IPAddress?) -> ClusterPod? {
        address.flatMap { address in pods.withLockedValue { $0[address] } }
    }
}

/// Istio's standard metrics of one proxy, counted from the records of its access log.
///
/// As in Istio (`istio.stats`, `tcp_reporting_duration`) a TCP connection counts as opened when it is first reported on,
/// with the labels that it keeps: after five seconds, or at its end if that comes before. Its bytes grow with each report.
package final class IstioMetrics: Sendable {
    /// How many different series a proxy keeps. What comes later has no labels of its own: names that clients make up
    /// are no way to have a proxy grow.
    static let seriesLimit = 2000

    private struct Histogram {
        /// Envoy's default buckets.
        static let bounds: [Double] = [
            0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 600_000,
            1_800_000, 3_600_000,
        ]

        var buckets = [UInt64](repeating: 0, count: bounds.count)
        var sum = 0.0
        var count: UInt64 = 0

        mutating func add(_ value: Double) {
            count += 1
            sum += value
            if let place = Self.bounds.firstIndex(where: { value <= $0 }) { buckets[place] += 1 }
        }
    }

    private struct Series {
        var counters: [String: UInt64] = [:]
        var histograms: [String: Histogram] = [:]
    }

    private struct State {
        var configuration: ProxyConfiguration?
        var services: [String: Service] = [:]
        var series: [[String]: Series] = [:]
        /// TCP connections that have been reported on, and live.
        var living: [UInt64: Living] = [:]
    }

    private struct Living {
        var labels: [String]
        var sent: UInt64 = 0
        var received: UInt64 = 0
    }

    /// What a cluster is in Istio's words.
    private struct Service {
        var host: String
        var name: String
        var namespace: String
    }

    private let node: ProxyNode
    private let owner: ClusterPod?
    private let registry: MeshRegistry
    private let state: NIOLockedValueBox<State>

    init(of node: ProxyNode, pod: ClusterPod?, in registry: MeshRegistry) {
        self.node = node
        owner = pod
        self.registry = registry
        state = NIOLockedValueBox(State())
    }

    /// The clusters that records name from now on.
    func watch(_ configuration: ProxyConfiguration?) {
        state.withLockedValue { state in
            state.configuration = configuration
            state.services = [:]
        }
    }

    /// In the order in which Istio has them.
    private static let labelNames = [
        "reporter", "source_workload", "source_canonical_service", "source_canonical_revision",
        "source_workload_namespace", "source_principal", "source_app", "source_version", "source_cluster",
        "destination_workload", "destination_workload_namespace", "destination_principal", "destination_app",
        "destination_version", "destination_service", "destination_canonical_service",
        "destination_canonical_revision", "destination_service_name", "destination_service_namespace",
        "destination_cluster", "request_protocol", "response_code", "grpc_response_status", "response_flags",
        "connection_security_policy",
    ]

    // MARK: Counting

    func count(_ record: AccessLogRecord) {
        // What no chain took has passed no filter that counts.
        guard record.kind == .http || record.upstreamCluster != nil else { return }
        state.withLockedValue { state in
            switch record.kind {
            case .http:
                let labels = keptLabels(of: record, &state)
                var series = state.series[labels] ?? Series()
                series.counters["istio_requests_total", default: 0] += 1
                series.histograms["istio_request_duration_milliseconds", default: Histogram()]
                    .add(Double(record.durationMs))
                series.histograms["istio_request_bytes", default: Histogram()].add(Double(record.bytesReceived))
                series.histograms["istio_response_bytes", default: Histogram()].add(Double(record.bytesSent))
                state.series[labels] = series
            case .tcp:
                let labels = report(record, &state)
                state.living[record.streamID] = nil
                state.series[labels]?.counters["istio_tcp_connections_closed_total", default: 0] += 1
            }
        }
    }

    /// Counts what a TCP connection has done up to now.
    func report(_ record: AccessLogRecord) {
        guard record.upstreamCluster != nil else { return }
        state.withLockedValue { _ = report(record, &$0) }
    }

    /// The value is the connection's labels.
    private func report(_ record: AccessLogRecord, _ state: inout State) -> [String] {
        let known = state.living[record.streamID]
        var living = known ?? Living(labels: keptLabels(of: record, &state))
        var series = state.series[living.labels] ?? Series()
        if known == nil { series.counters["istio_tcp_connections_opened_total", default: 0] += 1 }
        // Of the client, as Istio counts: what the server sent and what it received.
        series.counters["istio_tcp_sent_bytes_total", default: 0] +=
            record.bytesSent - min(living.sent, record.bytesSent)
        series.counters["istio_tcp_received_bytes_total", default: 0] +=
            record.bytesReceived - min(living.received, record.bytesReceived)
        (living.sent, living.received) = (record.bytesSent, record.bytesReceived)
        state.series[living.labels] = series
        state.living[record.streamID] = living
        return living.labels
    }

    /// Those of the record, or of all that came when there were too many.
    private func keptLabels(of record: AccessLogRecord, _ state: inout State) -> [String] {
        let labels = labels(of: record, &state)
        guard state.series[labels] == nil, state.series.count >= Self.seriesLimit else { return labels }
        return [labels[0]] + [String](repeating: Self.unknown, count: labels.count - 1)
    }

    private static let unknown = "unknown"

    private func labels(of record: AccessLogRecord, _ state: inout State) -> [String] {
        let isInbound =
            record.upstreamCluster?.hasPrefix("inbound|") ?? false
            || record.upstreamCluster?.hasPrefix("InboundPassthroughCluster") ?? false
        let service = service(of: record, &state)
        let peer = registry.pod(at: (isInbound ? record.downstreamRemoteAddress : record.upstreamHost)?.address)
        let own = Self.workload(owner)
        let other = Self.workload(peer)
        let (source, destination) = isInbound ? (other, own) : (own, other)
        let principals = principals(of: record, isInbound: isInbound)
        let policy = isInbound ? (record.downstreamPeerURISAN == nil ? "none" : "mutual_tls") : Self.unknown
        return [
            isInbound ? "destination" : "source", source.name, source.service, source.revision, source.namespace,
            principals.source, source.app, source.version, source.cluster, destination.name, destination.namespace,
            principals.destination, destination.app, destination.version, service.host, destination.service,
            destination.revision, service.name, service.namespace, destination.cluster,
            record.kind == .http ? "http" : "tcp", record.kind == .http ? "\(record.responseCode)" : "0", "",
            record.responseFlags.isEmpty ? "-" : record.responseFlags.joined(separator: ","), policy,
        ]
    }

    private func principals(of record: AccessLogRecord, isInbound: Bool) -> (source: String, destination: String) {
        if isInbound {
            return (
                record.downstreamPeerURISAN ?? Self.unknown,
                record.downstreamPeerURISAN == nil ? Self.unknown : record.downstreamLocalURISAN ?? Self.unknown
            )
        }
        guard let peer = record.upstreamPeerURISAN, peer.hasPrefix("spiffe://") else {
            return (Self.unknown, Self.unknown)
        }
        let domain = node.trustDomain ?? "cluster.local"
        return ("spiffe://\(domain)/ns/\(node.namespace)/sa/\(node.serviceAccount)", peer)
    }

    private struct Workload {
        var name = IstioMetrics.unknown
        var namespace = IstioMetrics.unknown
        var app = IstioMetrics.unknown
        var version = IstioMetrics.unknown
        var service = IstioMetrics.unknown
        var revision = "latest"
        var cluster = IstioMetrics.unknown
    }

    private static func workload(_ pod: ClusterPod?) -> Workload {
        guard let pod else { return Workload() }
        let labels = pod.labels
        return Workload(
            name: pod.workload, namespace: pod.id.namespace, app: labels["app"] ?? unknown,
            version: labels["version"] ?? unknown,
            service: labels["service.istio.io/canonical-name"] ?? labels["app.kubernetes.io/name"] ?? labels["app"]
                ?? pod.workload,
            revision: labels["service.istio.io/canonical-revision"] ?? labels["app.kubernetes.io/version"]
                ?? labels["version"] ?? "latest", cluster: "Kubernetes")
    }

    private func service(of record: AccessLogRecord, _ state: inout State) -> Service {
        // A host of the client's own words, where it is not the registry's.
        let named = record.kind == .http ? record.authority ?? Self.unknown : Self.unknown
        switch record.routeName {
        case "block_all": return Service(host: named, name: "BlackHoleCluster", namespace: Self.unknown)
        case "allow_any": return Service(host: named, name: "PassthroughCluster", namespace: Self.unknown)
        default: break
        }
        guard let cluster = record.upstreamCluster else {
            return Service(host: named, name: named, namespace: Self.unknown)
        }
        if !cluster.contains("|") { return Service(host: named, name: cluster, namespace: Self.unknown) }
        if let known = state.services[cluster] { return known }
        let origin = state.configuration?.clusters.first { $0.name == cluster }?.origin
        let made = Self.service(cluster: cluster, origin: origin)
        state.services[cluster] = made
        return made
    }

    /// - Parameter origin: `Service default/httpbin, httpbin.yaml:8`.
    private static func service(cluster: String, origin: ConfigurationOrigin?) -> Service {
        let owner = origin?.split(separator: " ").dropFirst().first.map { $0.prefix { $0 != "," } }
        let names = (owner ?? "").split(separator: "/").map(String.init)
        var host = cluster.split(separator: "|", omittingEmptySubsequences: false).last.map(String.init) ?? ""
        if host.isEmpty, names.count == 2, origin?.hasPrefix("Service ") ?? false {
            host = "\(names[1]).\(names[0]).svc.\(LabNetwork.clusterDomain)"
        }
        if host.hasSuffix(".svc." + LabNetwork.clusterDomain) {
            let parts = host.split(separator: ".").map(String.init)
            return Service(host: host, name: parts[0], namespace: parts.count > 1 ? parts[1] : unknown)
        }
        return Service(
            host: host.isEmpty ? unknown : host, name: host.isEmpty ? unknown : host,
            namespace: names.count == 2 ? names[0] : unknown)
    }

    // MARK: Reading

    /// The sum of a metric's series that have these labels; nil where there is none. Of histograms `NAME_count` and
    /// `NAME_sum`.
    func value(of name: String, labels wanted: [String: String]) -> UInt64? {
        state.withLockedValue { state in
            var result: UInt64?
            for (labels, series) in state.series {
                let own = Dictionary(uniqueKeysWithValues: zip(Self.labelNames, labels))
                guard wanted.allSatisfy({ own[$0.key] == $0.value }) else { continue }
                var found = series.counters[name]
                for (histogram, value) in series.histograms {
                    if name == histogram + "_count" || name == histogram { found = value.count }
                    if name == histogram + "_sum" { found = UInt64(value.sum) }
                }
                if let found { result = (result ?? 0) + found }
            }
            return result
        }
    }

    /// The labels that series have.
    package static var allLabels: [String] { labelNames }

    /// In Prometheus' text format.
    var text: String {
        let all = state.withLockedValue { $0.series }
        var exposition = PrometheusText()
        for (values, series) in all.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
            let labels = Array(zip(Self.labelNames, values))
            for (name, value) in series.counters { exposition.add(name, .counter, labels, "\(value)") }
            for (name, histogram) in series.histograms {
                var cumulative: UInt64 = 0
                for (bound, count) in zip(Histogram.bounds, histogram.buckets) {
                    cumulative += count
                    let edge = bound == bound.rounded() ? "\(Int(bound))" : "\(bound)"
                    exposition.add(name, .histogram, labels + [("le", edge)], "\(cumulative)", part: "_bucket")
                }
                exposition.add(
                    name, .histogram, labels + [("le", "+Inf")], "\(histogram.count)", part: "_bucket")
                exposition.add(name, .histogram, labels, "\(Int(histogram.sum))", part: "_sum")
                exposition.add(name, .histogram, labels, "\(histogram.count)", part: "_count")
            }
        }
        return exposition.text
    }
}
