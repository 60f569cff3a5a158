import CLinux
import CNftnl
package import Netlink
package import NetworkAddresses

/// Hands the packet to a transparent socket of this machine, addresses unchanged.
///
/// A transport match must stand before it in the rule.
package struct TProxy: Statement {
    /// nil for both families.
    package let family: IPFamily?
    package let port: UInt16
    package init(family: IPFamily? = nil, to port: UInt16) { (self.family, self.port) = (family, port) }
    package var text: String {
        switch family {
        case .ipv4?: "tproxy ip to :\(port)"
        case .ipv6?: "tproxy ip6 to :\(port)"
        case nil: "tproxy to :\(port)"
        }
    }

    package func lower(into rule: inout RuleLowering) throws(KernelError) {
        try rule.immediate(Value.port(port).bytes(as: .inetService).low)
        let number = family.map { $0 == .ipv4 ? NFPROTO_IPV4 : NFPROTO_IPV6 } ?? NFPROTO_UNSPEC
        try rule.append(
            "tproxy", .u32(Int(NFTNL_EXPR_TPROXY_FAMILY), UInt32(number)),
            .u32(Int(NFTNL_EXPR_TPROXY_REG_PORT), RuleLowering.dataRegister))
    }
}
