import CLinux
import CNftnl
package import Netlink

/// Sets the packet's mark.
package enum MetaMarkSet: Statement {
    case value(UInt32)
    /// The flow's mark becomes the packet's.
    case ctMark
    package var text: String {
        switch self {
        case .value(let mark): "meta mark set \(Value.hexadecimal(mark))"
        case .ctMark: "meta mark set ct mark"
        }
    }

    package func lower(into rule: inout RuleLowering) throws(KernelError) {
        switch self {
        case .value(let mark): try rule.immediate(Value.number(mark).bytes(as: .mark).low)
        case .ctMark: try rule.load(.ctMark, into: RuleLowering.dataRegister)
        }
        try rule.append(
            "meta", .u32(Int(NFTNL_EXPR_META_KEY), UInt32(NFT_META_MARK.rawValue)),
            .u32(Int(NFTNL_EXPR_META_SREG), RuleLowering.dataRegister))
    }
}
