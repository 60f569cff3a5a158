package import Netlink
package import NetworkAddresses

/// One step of a rule: a match, an action or a verdict. See `man 8 nft`, Statements.
///
/// A new statement is one file: its text as nft prints it, and its lowering to the kernel's expressions.
package protocol Statement: Sendable, Hashable {
    /// The statement as nft prints it, when nothing before it in the rule shortens it.
    var text: String { get }
    /// The packet fields it reads; they decide what nft leaves out before it.
    var fields: [Field] { get }
    /// The same statement when an earlier match has settled the transport protocol.
    func resolved(transport: IPProtocol?) -> Self
    /// Appends the kernel's expressions for it; throws if it makes no sense where it stands.
    func lower(into rule: inout RuleLowering) throws(KernelError)
}

extension Statement {
    package var fields: [Field] { [] }
    package func resolved(transport: IPProtocol?) -> Self { self }

    /// For comparing statements of any kind.
    var erased: AnyHashable { AnyHashable(self) }
}
