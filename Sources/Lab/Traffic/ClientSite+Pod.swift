import Mesh
import NetworkAddresses

extension ClientSite {
    /// A process of the pod with this owner.
    init(in pod: RunningPod, uid: UInt32, gid: UInt32, dns: DNSPlan) {
        let addresses = pod.plan.pod.addresses
        let families = Set(addresses.map(\.family))
        self.init(
            context: pod.context(uid: uid, gid: gid),
            resolver: ClientResolverConfiguration(
                nameservers: dns.endpoints.filter { families.contains($0.address.family) },
                searchDomains: dns.searchDomains(namespace: pod.id.namespace),
                hosts: ["localhost": [.loopbackIPv6, .loopbackIPv4], pod.id.name: addresses]),
            sourceAddresses: addresses)
    }
}

extension DNSPlan {
    /// Where the cluster's DNS server is asked.
    var endpoints: [IPEndpoint] { nameservers.map { IPEndpoint($0, LabConstants.dnsPort) } }
}
