package import Netlink

/// Keeps connection tracking away from the packet.
package struct NoTrack: Statement {
    package init() {}
    package var text: String { "notrack" }

    package func lower(into rule: inout RuleLowering) throws(KernelError) { try rule.append("notrack") }
}
