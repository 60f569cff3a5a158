import Netlink
import NetworkAddresses

/// Addresses of the lab's own wiring. Link-local, so that they can't meet an address of the user's.
enum LabAddresses {
    /// Every pod's gateways; nobody has to answer for them, the neighbour entries are permanent.
    static let podGatewayIPv4 = IPAddress(169, 254, 1, 1)
    static let podGatewayIPv6 = linkLocal(1)
    /// The cluster's end of its link to the internet: the only node's, or the fabric's. Other nodes' ends of their links
    /// to the fabric have the same addresses; each link is a world of its own.
    static let nodeUplinkIPv4 = IPAddress(169, 254, 2, 1)
    static let nodeUplinkIPv6 = linkLocal(0x2_0001)
    /// The internet's end of that link, and the fabric's ends of the nodes'.
    static let internetLinkIPv4 = IPAddress(169, 254, 2, 2)
    static let internetLinkIPv6 = linkLocal(0x2_0002)

    /// What the fabric itself answers from where something is not to be found.
    static let fabricIPv4 = IPAddress(169, 254, 2, 3)
    static let fabricIPv6 = IPAddress(family: .ipv6, value: 0xfd65_6772_6573_7300 << 64 | 3)

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
    /// Hardware addresses of a node's link to the fabric: the node's end, the fabric's end.
    static func fabricMAC(ofNode position: Int) -> MACAddress { MACAddress(local: 0x4000_0000 + UInt32(position)) }
    static func nodeMAC(inFabric position: Int) -> MACAddress { MACAddress(local: 0x5000_0000 + UInt32(position)) }
}
