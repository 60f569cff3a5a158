import Foundation
import Mesh
import NetworkAddresses
import Proxy
import ProxyModel

/// A record that Istio 1.0's telemetry service wrote of one request, or of one end of a connection: its log entries
/// `accesslog` and `tcpaccesslog`, as the proxies reported them.
///
/// Proxies here tell of a connection when it ends, so both of its records are made then. How many bytes a request's and
/// an answer's heads had they do not tell, so HTTP records have no `receivedBytes` and `sentBytes`.
struct MixerRecord: Sendable, Equatable {
    /// What the registry knows of an address; nil outside the mesh.
    typealias Registry = (IPAddress) -> ClusterPod?

    private enum Event: String { case open, close }

    /// Everything by its key, as text.
    let fields: [String: String]

    /// Source of truth: observability.md §6, the records in documents 000 and 001.
    ///
    /// - Parameter pod: whose proxy reports.
    static func records(
        of record: AccessLogRecord, by pod: ClusterPod, role: ProxyNode.Role, registry: @escaping Registry
    ) -> [MixerRecord] {
        // Traffic that no service was known for went past the filter that reported.
        guard let cluster = record.upstreamCluster, let name = ClusterReference(cluster) else { return [] }
        let reported = Report(record: record, cluster: name, pod: pod, role: role, registry: registry)
        switch record.kind {
        case .http: return [MixerRecord(fields: reported.http)]
        case .tcp:
            return [Event.open, .close].map { MixerRecord(fields: reported.tcp(isOpen: $0 == .open, $0.rawValue)) }
        }
    }

    /// The line of the log: numbers as numbers.
    var line: String {
        let members = fields.sorted { $0.key < $1.key }.map { key, value in
            let isNumber = Self.numbers.contains(key) && Int(value) != nil
            return "\(JSONText.quoted(key)):\(isNumber ? value : JSONText.quoted(value))"
        }
        return "{\(members.joined(separator: ","))}"
    }

    private static let numbers: Set<String> = [
        "receivedBytes", "sentBytes", "totalReceivedBytes", "totalSentBytes", "responseCode", "responseSize",
        "requestSize",
    ]

    /// True if it has the value: addresses as their bytes in base64, as document 000 prints them, or as text, as
    /// document 001 does.
    func has(_ key: String, _ value: String) -> Bool {
        let own = fields[key] ?? "-"
        if own == value || value == "-" && own.isEmpty { return true }
        guard key == "sourceIp" || key == "destinationIp", let address = IPAddress(value) else { return false }
        return own == Self.base64(address, mapped: false) || own == Self.base64(address, mapped: true)
    }

    /// - Parameter mapped: an IPv4 address in its 16-byte form.
    fileprivate static func base64(_ address: IPAddress, mapped: Bool) -> String {
        let prefix: [UInt8] = mapped && address.family == .ipv4 ? Array(repeating: 0, count: 10) + [0xFF, 0xFF] : []
        return Data(prefix + address.bytes).base64EncodedString()
    }
}

/// `outbound|443||edition.cnn.com`, `inbound|80||`.
private struct ClusterReference {
    let isInbound: Bool
    let host: String

    init?(_ name: String) {
        let parts = name.split(separator: "|", omittingEmptySubsequences: false)
        guard parts.count == 4, parts[0] == "outbound" || parts[0] == "inbound" else { return nil }
        isInbound = parts[0] == "inbound"
        host = String(parts[3])
    }
}

/// What a proxy reported, in Mixer's words.
private struct Report {
    let record: AccessLogRecord
    let cluster: ClusterReference
    let pod: ClusterPod
    let role: ProxyNode.Role
    let registry: MixerRecord.Registry

    private static let unknown = "unknown"

    private var common: [String: String] {
        var fields: [String: String] = [
            "level": "info", "connection_security_policy": securityPolicy,
            "reporter": cluster.isInbound ? "destination" : "source",
            "protocol": record.kind == .http ? "http" : "tcp",
            "requestedServerName": record.requestedServerName ?? "",
            "destinationServiceHost": serviceHost,
            // The identities of the connection that came, where it was mutual TLS.
            "sourcePrincipal": Self.principal(record.downstreamPeerURISAN),
            "destinationPrincipal": Self.principal(record.downstreamLocalURISAN),
        ]
        let source = cluster.isInbound ? record.downstreamRemoteAddress.flatMap { registry($0.address) } : pod
        let destination = cluster.isInbound ? pod : record.upstreamHost.flatMap { registry($0.address) }
        fields.merge(Self.workload("source", source)) { $1 }
        fields.merge(Self.workload("destination", destination)) { $1 }
        let isHTTP = record.kind == .http
        if let address = record.downstreamRemoteAddress?.address {
            fields["sourceIp"] = MixerRecord.base64(address, mapped: isHTTP)
        }
        if let address = (cluster.isInbound ? record.downstreamLocalAddress : record.upstreamHost)?.address {
            fields["destinationIp"] = MixerRecord.base64(address, mapped: false)
        }
        return fields
    }

    var http: [String: String] {
        var fields = common
        let latency = Double(record.durationMs) / 1000
        let end = Self.time(record.startTime + latency)
        fields.merge([
            "instance": "accesslog.logentry.istio-system", "time": Self.time(record.startTime),
            "method": record.method ?? "", "url": record.path ?? "", "httpAuthority": record.authority ?? "",
            "responseCode": "\(record.responseCode)", "responseSize": "\(record.bytesSent)",
            "requestSize": "\(record.bytesReceived)", "requestId": record.requestID ?? "",
            "userAgent": record.userAgent ?? "", "xForwardedFor": record.xForwardedFor ?? source,
            "latency": GoDuration.text(milliseconds: record.durationMs), "responseTimestamp": end,
            "apiClaims": "", "apiKey": "", "clientTraceId": "", "grpcMessage": "", "grpcStatus": "", "referer": "",
            "permissiveResponseCode": "none", "permissiveResponsePolicyID": "none",
        ]) { $1 }
        return fields
    }

    func tcp(isOpen: Bool, _ event: String) -> [String: String] {
        var fields = common
        let duration = isOpen ? 0 : record.durationMs
        let (received, sent) = isOpen ? (0, 0) : (record.bytesReceived, record.bytesSent)
        fields.merge([
            "instance": "tcpaccesslog.logentry.istio-system",
            "time": Self.time(record.startTime + Double(duration) / 1000), "connectionEvent": event,
            "connectionDuration": GoDuration.text(milliseconds: duration),
            "receivedBytes": "\(received)", "sentBytes": "\(sent)", "totalReceivedBytes": "\(received)",
            "totalSentBytes": "\(sent)",
        ]) { $1 }
        return fields
    }

    private var source: String { record.downstreamRemoteAddress.map { "\($0.address)" } ?? "" }

    /// Empty where the name that the client asked for is not the service that it was led to.
    private var serviceHost: String {
        guard let name = record.requestedServerName, record.kind == .tcp, !cluster.isInbound else {
            return cluster.host
        }
        let isOwn =
            cluster.host == name || cluster.host.hasPrefix("*.") && name.hasSuffix(cluster.host.dropFirst())
            || role == .sidecar
        return isOwn ? cluster.host : ""
    }

    private var securityPolicy: String {
        guard cluster.isInbound else { return Self.unknown }
        return record.downstreamPeerURISAN == nil ? "none" : "mutual_tls"
    }

    private static func workload(_ side: String, _ pod: ClusterPod?) -> [String: String] {
        guard let pod else {
            return [
                "\(side)App": "", "\(side)Name": unknown, "\(side)Workload": unknown, "\(side)Owner": unknown,
                "\(side)Namespace": "default",
            ]
        }
        let kind = pod.workloadKind.lowercased() + "s"
        let version = pod.workloadKind == "Job" ? "batch/v1" : pod.workloadKind == "Pod" ? "v1" : "apps/v1"
        return [
            "\(side)App": pod.labels["app"] ?? "", "\(side)Name": pod.id.name, "\(side)Workload": pod.workload,
            "\(side)Namespace": pod.id.namespace,
            "\(side)Owner": "kubernetes://apis/\(version)/namespaces/\(pod.id.namespace)/\(kind)/\(pod.workload)",
        ]
    }

    private static func principal(_ identity: String?) -> String {
        identity.map { $0.hasPrefix("spiffe://") ? String($0.dropFirst("spiffe://".count)) : $0 } ?? ""
    }

    private static func time(_ seconds: Double) -> String {
        UTCTime.formatted(seconds, as: "%Y-%m-%dT%H:%M:%S.%3fZ")
    }
}

/// Go's `time.Duration` as it prints itself.
enum GoDuration {
    static func text(milliseconds: UInt64) -> String {
        if milliseconds == 0 { return "0s" }
        if milliseconds < 1000 { return "\(milliseconds)ms" }
        let (minutes, rest) = (milliseconds / 60_000, milliseconds % 60_000)
        var fraction = String(1000 + rest % 1000).dropFirst()
        while fraction.last == "0" { fraction.removeLast() }
        let seconds = "\(rest / 1000)" + (fraction.isEmpty ? "" : ".\(fraction)") + "s"
        guard minutes > 0 else { return seconds }
        return minutes < 60 ? "\(minutes)m\(seconds)" : "\(minutes / 60)h\(minutes % 60)m\(seconds)"
    }
}
