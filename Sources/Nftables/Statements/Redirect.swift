import CLinux
import CNftnl
package import Netlink

/// Sends the flow to a port of this machine; the original destination stays known to connection tracking.
///
/// A transport match must stand before it in the rule.
package struct Redirect: Statement {
    package let port: UInt16
    package init(to port: UInt16) { self.port = port }
    package var text: String { "redirect to :\(port)" }

    package func lower(into rule: inout RuleLowering) throws(KernelError) {
        try rule.immediate(Value.port(port).bytes(as: .inetService).low)
        try rule.append(
            "redir", .u32(Int(NFTNL_EXPR_REDIR_REG_PROTO_MIN), RuleLowering.dataRegister),
            .u32(Int(NFTNL_EXPR_REDIR_FLAGS), UInt32(NF_NAT_RANGE_PROTO_SPECIFIED)))
    }
}
