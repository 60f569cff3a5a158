import CLinux
import CNftnl
package import Netlink

/// Puts the packet's value of a field into a set of the same table, or begins its time there anew.
package struct SetUpdate: Statement {
    package let field: Field
    package let name: String

    /// `update @name { ip saddr }`; the set must be `dynamic`, and says how long its elements stay.
    package init(_ field: Field, in name: String) { (self.field, self.name) = (field, name) }

    package var fields: [Field] { [field] }

    package var text: String { "update @\(name) { \(field.text) }" }

    package func lower(into rule: inout RuleLowering) throws(KernelError) {
        try rule.load([field])
        try rule.append(
            "dynset", .u32(Int(NFTNL_EXPR_DYNSET_SREG_KEY), RuleLowering.dataRegister),
            .u32(Int(NFTNL_EXPR_DYNSET_OP), UInt32(NFT_DYNSET_OP_UPDATE.rawValue)),
            .string(Int(NFTNL_EXPR_DYNSET_SET_NAME), name))
    }
}
