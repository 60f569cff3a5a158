package import NetworkAddresses

/// Replaces the destination of the flow.
///
/// A transport match must stand before it in the rule.
package struct DNAT: Statement {
    package let endpoint: IPEndpoint
    /// A translation to `endpoint`, whose family the packets must have.
    package init(to endpoint: IPEndpoint) { self.endpoint = endpoint }
    package var text: String {
        endpoint.address.family == .ipv4
            ? "dnat ip to \(endpoint.address):\(endpoint.port)"
            : "dnat ip6 to [\(endpoint.address.nftText)]:\(endpoint.port)"
    }
}
