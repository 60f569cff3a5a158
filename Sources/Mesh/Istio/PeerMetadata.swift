import Foundation
import ProxyModel

/// What a proxy says of itself in `x-envoy-peer-metadata`: a protobuf `Struct` in base64.
struct PeerMetadata {
    let node: ProxyNode
    let addresses: [String]
    let workloadKind: String

    var headers: [HeaderValue] {
        [
            HeaderValue(name: "x-envoy-peer-metadata", value: Data(structure).base64EncodedString()),
            HeaderValue(name: "x-envoy-peer-metadata-id", value: node.id),
        ]
    }

    private var structure: [UInt8] {
        let kind = workloadKind.lowercased() + "s"
        let version =
            ["Job", "CronJob"].contains(workloadKind)
            ? "batch/v1" : ["Pod", "ReplicationController"].contains(workloadKind) ? "v1" : "apps/v1"
        let owner = "kubernetes://apis/\(version)/namespaces/\(node.namespace)/\(kind)/\(node.workload)"
        let labels = node.labels.sorted { $0.key < $1.key }.flatMap { Self.entry($0.key, Self.string($0.value)) }
        return [
            Self.entry("CLUSTER_ID", Self.string("Kubernetes")),
            Self.entry("INSTANCE_IPS", Self.string(addresses.joined(separator: ","))),
            // google.protobuf.Value: `Struct struct_value = 5`.
            Self.entry("LABELS", Self.field(5, labels)),
            Self.entry("NAME", Self.string(node.pod)),
            Self.entry("NAMESPACE", Self.string(node.namespace)),
            Self.entry("OWNER", Self.string(owner)),
            Self.entry("WORKLOAD_NAME", Self.string(node.workload)),
        ].flatMap(\.self)
    }

    /// google.protobuf.Struct: `map<string, Value> fields = 1`, whose entries are key 1 and value 2.
    private static func entry(_ key: String, _ value: [UInt8]) -> [UInt8] {
        field(1, field(1, Array(key.utf8)) + field(2, value))
    }

    /// google.protobuf.Value: `string string_value = 3`.
    private static func string(_ text: String) -> [UInt8] { field(3, Array(text.utf8)) }

    /// A length-delimited field: tag with wire type 2, length, bytes.
    private static func field(_ number: UInt8, _ bytes: [UInt8]) -> [UInt8] {
        var length: [UInt8] = []
        var rest = bytes.count
        while rest >= 0x80 {
            length.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        return [number << 3 | 2] + length + [UInt8(rest)] + bytes
    }
}
