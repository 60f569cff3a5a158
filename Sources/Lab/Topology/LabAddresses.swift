import Netlink
import NetworkAddresses

/// Addresses of the lab's own wiring. Link-local, so that they can't meet an address of the user's.
enum LabAddresses {
    /// Every pod's gateways; nobody has to answer for them, the neighbour entries are permanent.
    static let podGatewayIPv4 = IPAddress(169, 254, 1, 1)
    static let podGatewayIPv6 = linkLocal(1)
    /// The node's end of its link to the internet.
    static let nodeUplinkIPv4 = IPAddress(169, 254, 2, 1)
    static let nodeUplinkIPv6 = linkLocal(0x2_0001)
    /// The internet's end of that link.
    static let internetLinkIPv4 = IPAddress(169, 254, 2, 2)
    static let internetLinkIPv6 = linkLocal(0x2_0002)

    /// A unique local address for what must have global scope; seen by nobody outside the internet's namespace.
    static let internetRedirectIPv6 = IPAddress(family: .ipv6, value: 0xfd65_6772_6573_7300 << 64 | 2)

    private static func linkLocal(_ host: UInt128) -> IPAddress {
        IPAddress(family: .ipv6, value: 0xfe80 << 112 | host)
    }

    /// Hardware addresses: the pod's end, the node's end.
    static func podMAC(_ index: Int) -> MACAddress { MACAddress(local: 0x1000_0000 + UInt32(index)) }
    static func nodeMAC(_ index: Int) -> MACAddress { MACAddress(local: 0x2000_0000 + UInt32(index)) }
    static let nodeUplinkMAC = MACAddress(local: 0x3000_0001)
    static let internetLinkMAC = MACAddress(local: 0x3000_0002)
}
