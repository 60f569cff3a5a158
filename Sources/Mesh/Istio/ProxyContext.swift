import Manifests
import NetworkAddresses

/// What the passes know of the proxies that they compile for: all pods with equal contexts get equal outbound parts.
struct ProxyContext {
    var namespace: String
    var labels: [String: String]
    /// What a rule's `gateways` must name to be meant for the proxy: `mesh`, or Gateways as `namespace/name`.
    var gateways: Set<String> = [GatewayName.mesh]
    /// True for gateways: no capture, no policy, and no address that a client dialled.
    var isRouter = false
    var families: ProxyFamilies
    var mesh: MeshConfig
    var capturePorts: Set<UInt16>
    var outboundPort: UInt16
    var isIstio10: Bool
    var policy: OutboundPolicy
    var scope: ProxyScope
    var destinationRules: DestinationRuleIndex
    var diagnostics: DiagnosticCollector

    /// Route timeout where nobody asked for one.
    var defaultTimeoutMs: Int { isIstio10 ? 15_000 : 0 }
    var connectTimeoutMs: Int { mesh.connectTimeoutMs ?? 10_000 }
    var includesAttemptCount: Bool { !isIstio10 && mesh.proxyHeaders.attemptCountDisabled != true }
    /// Wildcard listeners may not take these ports: the proxy's own.
    var reservedPorts: Set<UInt16> { capturePorts.union([15021, 15090]) }
}

/// The IP families that a proxy speaks.
struct ProxyFamilies: Hashable {
    var isIPv4: Bool
    var isIPv6: Bool

    init(_ pod: ClusterPod) {
        let hasIPv6 = pod.addresses.contains { $0.family == .ipv6 }
        isIPv6 = pod.isRouter ? hasIPv6 : pod.capture?.isIPv6On ?? false
        isIPv4 = !isIPv6 || pod.addresses.contains { $0.family == .ipv4 }
    }

    var list: [IPFamily] { (isIPv4 ? [.ipv4] : []) + (isIPv6 ? [.ipv6] : []) }

    func contains(_ family: IPFamily) -> Bool { family == .ipv4 ? isIPv4 : isIPv6 }

    /// The wildcard addresses to listen on.
    func wildcards(_ port: UInt16) -> [IPEndpoint] {
        list.map { IPEndpoint($0 == .ipv4 ? .anyIPv4 : .anyIPv6, port) }
    }

    /// `0.0.0.0`, or `[::]` for a proxy without IPv4.
    var wildcardName: String { isIPv4 ? "0.0.0.0" : "[::]" }

    /// The local addresses that mark connections from the proxy to its own application.
    var inboundSources: [IPAddress] {
        list.map { $0 == .ipv4 ? IPAddress(127, 0, 0, 6) : IPAddress(family: .ipv6, value: 6) }
    }
}
