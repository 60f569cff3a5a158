package import NetworkAddresses

/// The state of a flow as connection tracking sees it; several can be asked for at once.
package struct CTState: OptionSet, Sendable, Hashable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// `NF_CT_STATE_BIT(ctinfo)` is `1 << (ctinfo % IP_CT_IS_REPLY + 1)`, and invalid is bit 0.
    package static let invalid = CTState(rawValue: 1)
    package static let established = CTState(rawValue: 2)
    package static let related = CTState(rawValue: 4)
    package static let new = CTState(rawValue: 8)
    package static let untracked = CTState(rawValue: 64)

    /// As nft prints it, joined by commas.
    var text: String {
        let names: [(CTState, String)] = [
            (.invalid, "invalid"), (.established, "established"), (.related, "related"), (.new, "new"),
            (.untracked, "untracked"),
        ]
        return names.filter { contains($0.0) }.map(\.1).joined(separator: ",")
    }
}

/// The direction of a packet within its flow.
package enum CTDirection: UInt8, Sendable, Hashable {
    case original, reply
}

/// A single value of a field, or a range where the field has an order.
package enum Value: Sendable, Hashable {
    /// One address.
    case address(IPAddress)
    /// A block of addresses.
    case prefix(IPPrefix)
    /// Consecutive addresses of one family, both ends included.
    case addresses(ClosedRange<IPAddress>)
    /// One port.
    case port(UInt16)
    /// Consecutive ports.
    case ports(PortRange)
    /// A transport protocol.
    case proto(IPProtocol)
    /// A user, group or mark.
    case number(UInt32)
    /// An interface by its name.
    case interface(String)
    /// The family of a packet (`meta nfproto`).
    case family(IPFamily)
    /// States of the flow; any of them matches.
    case ctState(CTState)
    /// The direction within the flow.
    case ctDirection(CTDirection)
    /// An ICMP or ICMPv6 message type.
    case icmp(UInt8)

    /// The value as nft prints it where `type` is expected.
    package func text(as type: DataType) -> String {
        switch self {
        case .address(let address): address.nftText
        case .prefix(let prefix): prefix.isHost ? prefix.address.nftText : "\(prefix.address.nftText)/\(prefix.length)"
        case .addresses(let range):
            IPPrefix(exactly: range).map { Value.prefix($0).text(as: type) }
                ?? "\(range.lowerBound.nftText)-\(range.upperBound.nftText)"
        case .port(let port): String(port)
        case .ports(let range): range.description
        case .proto(let proto): proto.description
        case .number(let number): type == .mark ? Self.hexadecimal(number) : String(number)
        case .interface(let name): "\"\(name)\""
        case .family(let family): family.rawValue
        case .ctState(let state): state.text
        case .ctDirection(let direction): direction == .original ? "original" : "reply"
        case .icmp(let number): ICMPTypeNames.name(of: number, as: type)
        }
    }

    /// Marks are printed as `0x` and eight digits.
    static func hexadecimal(_ number: UInt32) -> String {
        let digits = String(number, radix: 16)
        return "0x" + String(repeating: "0", count: 8 - digits.count) + digits
    }
}

extension IPAddress {
    /// nft prints an IPv6 address as `inet_ntop` does: as in RFC 5952, but mapped and compatible ones end in dots.
    var nftText: String {
        guard family == .ipv6, value >> 32 == 0, value > 0xffff else { return description }
        return "::" + IPAddress(ipv4: UInt32(truncatingIfNeeded: value)).description
    }
}

extension IPPrefix {
    /// The block that holds exactly the addresses of `range`; nil if there is none.
    init?(exactly range: ClosedRange<IPAddress>) {
        let (low, high) = (range.lowerBound, range.upperBound)
        guard low.family == high.family else { return nil }
        let hostBits = UInt128.bitWidth - (low.value ^ high.value).leadingZeroBitCount
        guard let prefix = IPPrefix(low, length: low.family.bitWidth - hostBits), prefix.first == low,
            prefix.last == high
        else { return nil }
        self = prefix
    }
}
