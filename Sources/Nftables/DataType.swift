/// The type of a field and of a set's key; nft's own numbers, widths and names.
package enum DataType: Sendable, Hashable, CaseIterable {
    case ipv4Address, ipv6Address, inetProtocol, inetService, interfaceName, mark, uid, gid
    case ctState, ctDirection, nfproto, icmpType, icmpv6Type
    /// A plain number of 4 bytes, as `numgen` gives.
    case integer

    /// The name in a set's `type` line.
    package var text: String {
        switch self {
        case .ipv4Address: "ipv4_addr"
        case .ipv6Address: "ipv6_addr"
        case .inetProtocol: "inet_proto"
        case .inetService: "inet_service"
        case .interfaceName: "ifname"
        case .mark: "mark"
        case .uid: "uid"
        case .gid: "gid"
        case .ctState: "ct_state"
        case .ctDirection: "ct_dir"
        case .nfproto: "nf_proto"
        case .icmpType: "icmp_type"
        case .icmpv6Type: "icmpv6_type"
        case .integer: "integer"
        }
    }

    /// nft's number of the type (`enum datatypes` in nftables: include/datatype.h); the kernel only stores it.
    var identifier: UInt32 {
        switch self {
        case .nfproto: 2
        case .integer: 4
        case .ipv4Address: 7
        case .ipv6Address: 8
        case .inetProtocol: 12
        case .inetService: 13
        case .icmpType: 14
        case .mark: 19
        case .uid: 24
        case .gid: 25
        case .ctState: 26
        case .ctDirection: 27
        case .icmpv6Type: 29
        case .interfaceName: 41
        }
    }

    /// The bytes of a value.
    var byteCount: Int {
        switch self {
        case .ipv4Address, .mark, .uid, .gid, .ctState, .integer: 4
        case .ipv6Address, .interfaceName: 16
        case .inetService: 2
        case .inetProtocol, .ctDirection, .nfproto, .icmpType, .icmpv6Type: 1
        }
    }

    /// True for values the kernel keeps in the machine's byte order.
    var isHostOrder: Bool {
        switch self {
        case .mark, .uid, .gid, .ctState, .interfaceName, .integer: true
        default: false
        }
    }

    /// How many elements of a named set nft prints on one line.
    var elementsPerLine: Int {
        switch self {
        case .nfproto, .inetProtocol, .inetService, .mark, .uid, .gid, .ctDirection, .integer: 5
        case .ipv4Address, .ctState: 2
        case .ipv6Address, .interfaceName, .icmpType, .icmpv6Type: 1
        }
    }
}
