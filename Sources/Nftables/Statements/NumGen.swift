import CLinux
import CNftnl
package import Netlink

/// Takes one of several verdicts at random, each equally likely.
package struct NumGen: Statement {
    package let verdicts: [Verdict]
    /// A choice among `verdicts`, of which there must be at least one.
    package init(_ verdicts: [Verdict]) { self.verdicts = verdicts }
    package var text: String {
        let choices = verdicts.enumerated().map { "\($0) : \($1.text)" }
        return "numgen random mod \(verdicts.count) vmap { \(choices.joined(separator: ", ")) }"
    }

    package func lower(into rule: inout RuleLowering) throws(KernelError) {
        guard !verdicts.isEmpty else {
            throw KernelError(.invalidRequest, "build", "numgen", reason: "there is nothing to choose from")
        }
        try rule.append(
            "numgen", .u32(Int(NFTNL_EXPR_NG_DREG), RuleLowering.dataRegister),
            .u32(Int(NFTNL_EXPR_NG_MODULUS), UInt32(verdicts.count)),
            .u32(Int(NFTNL_EXPR_NG_TYPE), UInt32(NFT_NG_RANDOM.rawValue)))
        let elements = verdicts.enumerated().map { SetElement(.number(UInt32($0)), verdict: $1) }
        try rule.lookup(anonymous: .verdictMap(name: "__map%d", keys: [.integer], elements: elements))
    }
}
