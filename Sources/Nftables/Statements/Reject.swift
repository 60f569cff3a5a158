import CLinux
import CNftnl
package import Netlink

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

    package func lower(into rule: inout RuleLowering) throws(KernelError) {
        let (type, code): (nft_reject_types, UInt8) =
            switch self {
            case .tcpReset: (NFT_REJECT_TCP_RST, 0)
            case .icmpx(let code): (NFT_REJECT_ICMPX_UNREACH, code.rawValue)
            }
        try rule.append(
            "reject", .u32(Int(NFTNL_EXPR_REJECT_TYPE), UInt32(type.rawValue)),
            .u8(Int(NFTNL_EXPR_REJECT_CODE), code))
    }
}
