import Manifests
import ProxyModel

/// What happens to destinations that nobody declared (outbound.md §1).
struct OutboundPolicy: Equatable {
    var mode: MeshConfig.OutboundTrafficPolicy
    /// The line that set it, or the word that it is a default.
    var origin: ConfigurationOrigin

    /// The Sidecar's word, else the mesh's, else the release's default.
    init(mesh: MeshConfig, sidecar: Sidecar?, isIstio10: Bool) {
        if let sidecar, let policy = sidecar.outboundTrafficPolicy {
            mode = policy.value
            let object = "Sidecar \(sidecar.metadata.namespace)/\(sidecar.metadata.name) "
            origin = object + Self.text(policy.value, at: policy.location)
        } else if let policy = mesh.outboundTrafficPolicy {
            mode = policy.value
            origin = Self.text(policy.value, at: policy.location)
        } else {
            mode = isIstio10 ? .registryOnly : .allowAny
            origin = "outboundTrafficPolicy \(mode.rawValue), default"
        }
    }

    /// Where unknown connections go.
    var clusterName: String { mode == .allowAny ? ClusterName.passthrough : ClusterName.blackHole }

    private static func text(_ mode: MeshConfig.OutboundTrafficPolicy, at location: SourceLocation) -> String {
        let file = location.file.split(separator: "/").last.map(String.init) ?? location.file
        return "outboundTrafficPolicy \(mode.rawValue), \(file):\(location.line)"
    }
}

/// The names that Istio gives clusters.
enum ClusterName {
    static let passthrough = "PassthroughCluster"
    static let blackHole = "BlackHoleCluster"
    static let inboundPassthrough = "InboundPassthroughCluster"

    static func outbound(port: UInt16, subset: String? = nil, host: String) -> String {
        "outbound|\(port)|\(subset ?? "")|\(host)"
    }

    /// What mutual TLS of the mesh says as SNI, and AUTO_PASSTHROUGH gateways route by.
    static func serverName(port: UInt16, subset: String? = nil, host: String) -> String {
        "outbound_.\(port)_.\(subset ?? "")_.\(host)"
    }

    static func inbound(port: UInt16) -> String { "inbound|\(port)||" }
}
