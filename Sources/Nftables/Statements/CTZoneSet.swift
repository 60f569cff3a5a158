import CLinux
import CNftnl
package import Netlink

/// Sets the connection tracking zone, before tracking has looked at the packet.
package struct CTZoneSet: Statement {
    package let zone: UInt16
    package init(_ zone: UInt16) { self.zone = zone }
    package var text: String { "ct zone set \(zone)" }

    package func lower(into rule: inout RuleLowering) throws(KernelError) {
        // Two bytes in the machine's order.
        try rule.immediate(withUnsafeBytes(of: zone) { Array($0) })
        try rule.append(
            "ct", .u32(Int(NFTNL_EXPR_CT_KEY), UInt32(NFT_CT_ZONE.rawValue)),
            .u32(Int(NFTNL_EXPR_CT_SREG), RuleLowering.dataRegister))
    }
}
