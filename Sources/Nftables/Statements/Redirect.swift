/// Sends the flow to a port of this machine; the original destination stays known to connection tracking.
///
/// A transport match must stand before it in the rule.
package struct Redirect: Statement {
    package let port: UInt16
    package init(to port: UInt16) { self.port = port }
    package var text: String { "redirect to :\(port)" }
}
