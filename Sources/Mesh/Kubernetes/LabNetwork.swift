package import NetworkAddresses

/// The address plan of the lab's one cluster, as a common Kubernetes installation has it.
package enum LabNetwork {
    package static let clusterDomain = "cluster.local"
    package static let nodeName = "node"
    private static let nodeBaseIPv4 = IPAddress(172, 18, 0, 2)
    private static let nodeBaseIPv6 = ipv6(0xfd00_0172_0018, 2)

    /// Addresses of the node at `index`, from 0, IPv4 first.
    package static func nodeAddresses(_ index: Int) -> [IPAddress] {
        [nodeBaseIPv4.advanced(by: index), nodeBaseIPv6.advanced(by: index)]
    }

    private static let podBaseIPv4 = IPAddress(10, 244, 0, 0)
    private static let podBaseIPv6 = ipv6(0xfd00_0010_0244, 0)
    private static let serviceBaseIPv4 = IPAddress(10, 96, 0, 0)
    private static let serviceBaseIPv6 = ipv6(0xfd00_0010_0096, 0)
    private static let balancerBaseIPv4 = IPAddress(198, 18, 0, 0)
    private static let balancerBaseIPv6 = ipv6(0xfd00_0010_0198, 0)
    /// kube-dns' place among the service addresses: 10.96.0.10.
    static let dnsServiceIndex = 10
    /// The first place that is given to a Service which does not ask for an address.
    static let firstServiceIndex = 16

    /// The blocks from which pods and Services get their addresses, and the nodes' own addresses.
    package static func ranges(nodeAddresses: [IPAddress]) -> [IPPrefix] {
        [
            IPPrefix(podBaseIPv4, length: 16), IPPrefix(podBaseIPv6, length: 64),
            IPPrefix(serviceBaseIPv4, length: 16), IPPrefix(serviceBaseIPv6, length: 112),
        ].compactMap(\.self) + nodeAddresses.map { IPPrefix($0) }
    }

    /// The blocks from which Services of type LoadBalancer get their addresses outside the cluster.
    package static let loadBalancerRanges: [IPPrefix] = [
        IPPrefix(balancerBaseIPv4, length: 16), IPPrefix(balancerBaseIPv6, length: 112),
    ].compactMap(\.self)

    static func loadBalancerAddresses(_ index: Int) -> [IPAddress] {
        [balancerBaseIPv4.advanced(by: index), balancerBaseIPv6.advanced(by: index)]
    }

    /// Addresses of the pod at `index`, IPv4 first; indexes start at 1 and the first address is left to the gateway.
    static func podAddresses(_ index: Int) -> [IPAddress] {
        [podBaseIPv4.advanced(by: index + 1), podBaseIPv6.advanced(by: index + 1)]
    }

    static func serviceAddresses(_ index: Int) -> [IPAddress] {
        [serviceBaseIPv4.advanced(by: index), serviceBaseIPv6.advanced(by: index)]
    }

    /// The address whose first three groups are `network` and whose last ones are `host`.
    private static func ipv6(_ network: UInt128, _ host: UInt128) -> IPAddress {
        IPAddress(family: .ipv6, value: network << 80 | host)
    }
}
