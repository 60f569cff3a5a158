package import Manifests
package import NetworkAddresses

/// What a pod's capture rules are made from, after annotations, mesh values and defaults (capture.md §2).
package struct CaptureSettings: Sendable, Hashable {
    /// `*`, or a list.
    package enum Selection<Element: Sendable & Hashable>: Sendable, Hashable {
        case all
        case only([Element])
    }

    package enum InterceptionMode: String, Sendable { case redirect = "REDIRECT", none = "NONE" }

    /// The order in which a pod's containers start.
    package enum StartOrder: String, Sendable {
        /// User init containers, then `istio-init` (the rules), then the application and the proxy.
        case classic
        /// `istio-init`, `istio-proxy`, then user init containers.
        case nativeSidecar
    }

    package var mode: InterceptionMode = .redirect
    package var startOrder: StartOrder = .classic
    package var outboundPort: UInt16 = 15001
    package var inboundPort: UInt16 = 15006
    package var proxyUIDs: [UInt32] = [1337]
    package var proxyGIDs: [UInt32] = [1337]
    package var includeOutboundRanges: Selection<IPPrefix> = .all
    package var excludeOutboundRanges: [IPPrefix] = []
    package var includeOutboundPorts: [UInt16] = []
    package var excludeOutboundPorts: [UInt16] = []
    package var includeInboundPorts: Selection<UInt16> = .all
    package var excludeInboundPorts: [UInt16] = [15090, 15021, 15020]
    package var excludeInterfaces: [String] = []
    package var includeOwnerGroups: Selection<String> = .all
    package var excludeOwnerGroups: [String] = []
    package var loopbackRange: IPPrefix
    package var dropsInvalid = false
    /// DNS capture is asked for: the pod's agent answers queries, and hosts have the addresses allocated for them.
    package var capturesDNS = false
    /// The servers whose queries are redirected to the agent: all, or those of the pod's `resolv.conf`.
    package var dnsServers: Selection<IPAddress> = .only([])
    /// capture.md §2 "IPv6 on": from the pod's first address, or any with dual stack.
    package var isIPv6On = false
    /// Which line asked for a setting: by the setting's annotation or value name; absent for defaults.
    package var origins: [String: Origin] = [:]

    package init(loopbackRange: IPPrefix) { self.loopbackRange = loopbackRange }

    /// True when queries are redirected to the agent: DNS capture has an effect on rules only if it knows a server.
    package var redirectsDNS: Bool { capturesDNS && dnsServers != .only([]) }
}
