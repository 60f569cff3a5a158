import CLinux
import CNftnl
package import Netlink

/// Sets the flow's mark.
package enum CTMarkSet: Statement {
    case value(UInt32)
    /// The packet's mark becomes the flow's.
    case metaMark
    package var text: String {
        switch self {
        case .value(let mark): "ct mark set \(Value.hexadecimal(mark))"
        case .metaMark: "ct mark set meta mark"
        }
    }

    package func lower(into rule: inout RuleLowering) throws(KernelError) {
        switch self {
        case .value(let mark): try rule.immediate(Value.number(mark).bytes(as: .mark).low)
        case .metaMark: try rule.load(.metaMark, into: RuleLowering.dataRegister)
        }
        try rule.append(
            "ct", .u32(Int(NFTNL_EXPR_CT_KEY), UInt32(NFT_CT_MARK.rawValue)),
            .u32(Int(NFTNL_EXPR_CT_SREG), RuleLowering.dataRegister))
    }
}
