import CLinux
import CNftnl
package import Netlink
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

    package func lower(into rule: inout RuleLowering) throws(KernelError) {
        // NFT_REG_2, the second register of 16 bytes.
        let portRegister: UInt32 = 2
        try rule.immediate(endpoint.address.bytes)
        try rule.immediate(Value.port(endpoint.port).bytes(as: .inetService).low, into: portRegister)
        let family = endpoint.address.family == .ipv4 ? NFPROTO_IPV4 : NFPROTO_IPV6
        try rule.append(
            "nat", .u32(Int(NFTNL_EXPR_NAT_TYPE), UInt32(NFT_NAT_DNAT.rawValue)),
            .u32(Int(NFTNL_EXPR_NAT_FAMILY), UInt32(family)),
            .u32(Int(NFTNL_EXPR_NAT_REG_ADDR_MIN), RuleLowering.dataRegister),
            .u32(Int(NFTNL_EXPR_NAT_REG_PROTO_MIN), portRegister),
            .u32(Int(NFTNL_EXPR_NAT_FLAGS), UInt32(NF_NAT_RANGE_PROTO_SPECIFIED)))
    }
}
