import NetworkAddresses

/// Something a rule can read of a packet or of its flow.
package enum Field: Sendable, Hashable, CaseIterable {
    case ipSaddr, ipDaddr, ip6Saddr, ip6Daddr
    case tcpSport, tcpDport, udpSport, udpDport, sctpSport, sctpDport
    /// The ports of whatever transport protocol it is; match `metaL4proto` before them.
    case thSport, thDport
    case metaL4proto, metaNfproto, metaSkuid, metaSkgid, metaIifname, metaOifname, metaMark
    case ctState, ctMark, ctDirection
    case icmpType, icmpv6Type

    /// The field as nft prints it.
    package var text: String {
        switch self {
        case .ipSaddr: "ip saddr"
        case .ipDaddr: "ip daddr"
        case .ip6Saddr: "ip6 saddr"
        case .ip6Daddr: "ip6 daddr"
        case .tcpSport: "tcp sport"
        case .tcpDport: "tcp dport"
        case .udpSport: "udp sport"
        case .udpDport: "udp dport"
        case .sctpSport: "sctp sport"
        case .sctpDport: "sctp dport"
        case .thSport: "th sport"
        case .thDport: "th dport"
        case .metaL4proto: "meta l4proto"
        case .metaNfproto: "meta nfproto"
        case .metaSkuid: "meta skuid"
        case .metaSkgid: "meta skgid"
        case .metaIifname: "iifname"
        case .metaOifname: "oifname"
        case .metaMark: "meta mark"
        case .ctState: "ct state"
        case .ctMark: "ct mark"
        case .ctDirection: "ct direction"
        case .icmpType: "icmp type"
        case .icmpv6Type: "icmpv6 type"
        }
    }

    /// The type of its values.
    package var dataType: DataType {
        switch self {
        case .ipSaddr, .ipDaddr: .ipv4Address
        case .ip6Saddr, .ip6Daddr: .ipv6Address
        case .tcpSport, .tcpDport, .udpSport, .udpDport, .sctpSport, .sctpDport, .thSport, .thDport: .inetService
        case .metaL4proto: .inetProtocol
        case .metaNfproto: .nfproto
        case .metaSkuid: .uid
        case .metaSkgid: .gid
        case .metaIifname, .metaOifname: .interfaceName
        case .metaMark, .ctMark: .mark
        case .ctState: .ctState
        case .ctDirection: .ctDirection
        case .icmpType: .icmpType
        case .icmpv6Type: .icmpv6Type
        }
    }

    /// The transport protocol whose header holds it.
    var transport: IPProtocol? {
        switch self {
        case .tcpSport, .tcpDport: .tcp
        case .udpSport, .udpDport: .udp
        case .sctpSport, .sctpDport: .sctp
        case .icmpType: .icmp
        case .icmpv6Type: .icmpv6
        default: nil
        }
    }

    /// The family whose packets have it.
    var family: IPFamily? {
        switch self {
        case .ipSaddr, .ipDaddr: .ipv4
        case .ip6Saddr, .ip6Daddr: .ipv6
        // ICMP belongs to IPv4 and ICMPv6 to IPv6, so nft matches the family, too.
        case .icmpType: .ipv4
        case .icmpv6Type: .ipv6
        default: nil
        }
    }

    var isAnyTransport: Bool { self == .thSport || self == .thDport }

    /// The field of `transport` at the same place, for a port of any transport.
    func resolved(transport: IPProtocol?) -> Field {
        switch (self, transport) {
        case (.thSport, .tcp?): .tcpSport
        case (.thDport, .tcp?): .tcpDport
        case (.thSport, .udp?): .udpSport
        case (.thDport, .udp?): .udpDport
        case (.thSport, .sctp?): .sctpSport
        case (.thDport, .sctp?): .sctpDport
        default: self
        }
    }
}
