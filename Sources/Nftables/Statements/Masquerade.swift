package import Netlink

/// Replaces the source of the flow by the address of the interface through which it leaves.
package struct Masquerade: Statement {
    package init() {}
    package var text: String { "masquerade" }

    package func lower(into rule: inout RuleLowering) throws(KernelError) { try rule.append("masq") }
}
