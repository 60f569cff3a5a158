package import Evidence
import Manifests
package import Mesh
package import NetworkAddresses

/// Says which of a pod's capture rules let a packet pass by the proxy, in the rules' own order (capture.md §3).
///
/// The outcome never rests on it: that a flow escaped is known from the boundary. This names the way.
package struct CaptureExplanation: Sendable {
    package let pod: ClusterPod

    package init(pod: ClusterPod) { self.pod = pod }

    /// Why a packet with this tuple and owner is left alone by the pod's rules; nil when they would have captured it.
    package func way(_ tuple: FiveTuple, uid: UInt32, gid: UInt32, beforeRules: Bool) -> EscapeWay? {
        guard let settings = pod.capture else {
            return EscapeWay(
                technique: "no-sidecar", explanation: "pod \(pod.id) has no sidecar", origin: pod.origin.description)
        }
        if beforeRules {
            return EscapeWay(
                technique: "init-container",
                explanation: "init containers run before istio-init has set the rules (classic start order)",
                origin: pod.origin.description)
        }
        if settings.mode == .none {
            return way("interception-none", "interception mode is NONE", "interceptionMode", settings)
        }
        let destination = tuple.destination
        if tuple.transport == .tcp || tuple.transport == .udp,
            settings.excludeOutboundPorts.contains(destination.port)
        {
            return way(
                "excluded-port", "port \(destination.port) is excluded from capture", "excludeOutboundPorts", settings)
        }
        if settings.proxyUIDs.contains(uid) {
            return EscapeWay(
                technique: "uid-\(uid)", explanation: "packets of UID \(uid), the proxy's own, are never captured")
        }
        if settings.proxyGIDs.contains(gid) {
            return EscapeWay(
                technique: "gid-\(gid)", explanation: "packets of GID \(gid), the proxy's own, are never captured")
        }
        if settings.excludeOwnerGroups.contains("\(gid)") {
            return way(
                "owner-group", "GID \(gid) is excluded from capture", "excludeOwnerGroups", settings)
        }
        if case .only(let groups) = settings.includeOwnerGroups, !groups.contains("\(gid)") {
            return way(
                "owner-group", "only GIDs \(groups.joined(separator: ", ")) are captured", "includeOwnerGroups",
                settings)
        }
        let isQuery = destination.port == LabConstants.dnsPort && settings.redirectsDNS
        if isQuery, tuple.transport == .udp || tuple.transport == .tcp {
            guard case .only(let servers) = settings.dnsServers, !servers.contains(destination.address) else {
                return nil
            }
            if tuple.transport == .udp {
                return way(
                    "dns-server",
                    "DNS capture redirects queries to \(servers.map(\.description).joined(separator: ", ")) only, "
                        + "and \(destination.address) is another server", "capturesDNS", settings)
            }
        }
        if settings.excludeOutboundRanges.contains(where: { $0.contains(destination.address) }) {
            return way(
                "excluded-range", "\(destination.address) is in a range that is excluded from capture",
                "excludeOutboundRanges", settings)
        }
        guard tuple.transport == .tcp else {
            let captured = settings.redirectsDNS ? "TCP, and UDP to port \(LabConstants.dnsPort)," : "TCP"
            return EscapeWay(
                technique: "\(tuple.transport)",
                explanation: "capture redirects \(captured) only; this is \(tuple.transport)")
        }
        if settings.includeOutboundPorts.contains(destination.port) { return nil }
        guard case .only(let ranges) = settings.includeOutboundRanges else { return nil }
        let family = destination.address.family
        if family == .ipv6, !settings.isIPv6On {
            return way(
                "ipv6", "the list of captured ranges has no effect on IPv6 in this pod", "includeOutboundRanges",
                settings)
        }
        guard !ranges.contains(where: { $0.contains(destination.address) }) else { return nil }
        return way(
            "not-included-range",
            "only \(ranges.map(\.description).joined(separator: ", ")) is captured, and \(destination.address) lies outside",
            "includeOutboundRanges", settings)
    }

    private func way(
        _ technique: String, _ explanation: String, _ setting: String, _ settings: CaptureSettings
    ) -> EscapeWay {
        EscapeWay(
            technique: technique, explanation: explanation, origin: settings.origins[setting]?.description)
    }
}
