package import NetworkAddresses

/// A pod's DNS agent, the part of istio-agent that answers captured queries (capture.md §7).
package struct DNSAgentPlan: Sendable, Equatable {
    /// What it answers itself.
    package var names: NameTable
    /// Whom it asks for everything else: the servers of the pod's `resolv.conf`, in order.
    package var nameservers: [IPAddress]
    /// Loopback addresses on which it listens; IPv6 only if an IPv6 server is listed.
    package var addresses: [IPAddress]

    init(of pod: ClusterPod, names: NameTable, nameservers: [IPAddress]) {
        self.names = names
        self.nameservers = nameservers.filter { server in pod.addresses.contains { $0.family == server.family } }
        addresses = [.loopbackIPv4] + (self.nameservers.contains { $0.family == .ipv6 } ? [.loopbackIPv6] : [])
    }
}
