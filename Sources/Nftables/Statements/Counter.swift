package import Netlink

/// Counts packets and bytes that come this far.
package struct Counter: Statement {
    package init() {}
    package var text: String { "counter packets 0 bytes 0" }

    package func lower(into rule: inout RuleLowering) throws(KernelError) { try rule.append("counter") }
}
