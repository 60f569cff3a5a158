/// Drops the packet and tells its sender.
package enum Reject: Statement {
    /// With a TCP reset; a TCP match must stand before it in the rule.
    case tcpReset
    /// With an ICMP or ICMPv6 message, by the packet's family.
    case icmpx(Code)

    /// The reasons that both families know (`NFT_REJECT_ICMPX_*`).
    package enum Code: UInt8, Sendable, Hashable {
        case noRoute = 0, portUnreachable, hostUnreachable, adminProhibited

        var text: String {
            switch self {
            case .noRoute: "no-route"
            case .portUnreachable: "port-unreachable"
            case .hostUnreachable: "host-unreachable"
            case .adminProhibited: "admin-prohibited"
            }
        }
    }

    package var text: String {
        switch self {
        case .tcpReset: "reject with tcp reset"
        // nft leaves its default out.
        case .icmpx(.portUnreachable): "reject"
        case .icmpx(let code): "reject with icmpx \(code.text)"
        }
    }
}
