import CLinux
import CNftnl
package import Netlink

/// What becomes of the packet: the end of a rule, or the value of a verdict map.
package enum Verdict: Statement {
    case accept, drop
    /// Back to the calling chain.
    case `return`
    /// On with the next rule; useful in verdict maps.
    case `continue`
    /// To the chain of that name, and back at its end.
    case jump(String)
    /// To the chain of that name, never back.
    case goto(String)

    package var text: String {
        switch self {
        case .accept: "accept"
        case .drop: "drop"
        case .return: "return"
        case .continue: "continue"
        case .jump(let chain): "jump \(chain)"
        case .goto(let chain): "goto \(chain)"
        }
    }

    package func lower(into rule: inout RuleLowering) throws(KernelError) {
        let verdict = RuleLowering.Attribute.u32(Int(NFTNL_EXPR_IMM_VERDICT), number)
        let register = RuleLowering.Attribute.u32(Int(NFTNL_EXPR_IMM_DREG), RuleLowering.verdictRegister)
        if let chain {
            try rule.append("immediate", register, verdict, .string(Int(NFTNL_EXPR_IMM_CHAIN), chain))
        } else {
            try rule.append("immediate", register, verdict)
        }
    }

    /// The chain that takes over, if any.
    var chain: String? {
        switch self {
        case .jump(let chain), .goto(let chain): chain
        default: nil
        }
    }

    /// The kernel's number; those of `enum nft_verdicts` are negative.
    var number: UInt32 {
        switch self {
        case .accept: UInt32(NF_ACCEPT)
        case .drop: UInt32(NF_DROP)
        case .return: UInt32(bitPattern: Int32(NFT_RETURN.rawValue))
        case .continue: UInt32(bitPattern: Int32(NFT_CONTINUE.rawValue))
        case .jump: UInt32(bitPattern: Int32(NFT_JUMP.rawValue))
        case .goto: UInt32(bitPattern: Int32(NFT_GOTO.rawValue))
        }
    }
}
