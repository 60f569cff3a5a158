/// A block of addresses in CIDR notation. Host bits are cleared when it is made.
package struct IPPrefix: Hashable, Sendable {
    /// The first address of the block.
    package let address: IPAddress
    /// The number of leading bits that all addresses of the block share.
    package let length: Int

    /// The block of `length` bits that holds `address`; nil when `length` is out of range.
    package init?(_ address: IPAddress, length: Int) {
        guard (0...address.family.bitWidth).contains(length) else { return nil }
        self.init(masking: address, length: length)
    }

    /// The block that holds just `address`.
    package init(_ address: IPAddress) { self.init(masking: address, length: address.family.bitWidth) }

    /// A block from `ADDRESS/LENGTH`, or from a lone address; nil when it is neither.
    package init?(_ text: some StringProtocol) {
        let (head, tail) = String(text).splitOnce("/")
        guard let address = IPAddress(head) else { return nil }
        guard let tail else {
            self.init(address)
            return
        }
        guard (1...3).contains(tail.utf8.count), tail.utf8.allSatisfy({ (48...57).contains($0) }),
            let length = Int(tail)
        else { return nil }
        self.init(address, length: length)
    }

    private init(masking address: IPAddress, length: Int) {
        let hostBits = UInt128(address.family.bitWidth - length)
        let mask: UInt128 = hostBits == 128 ? 0 : ~0 << hostBits
        self.address = IPAddress(family: address.family, value: address.value & mask)
        self.length = length
    }

    package var family: IPFamily { address.family }
    package var first: IPAddress { address }
    package var last: IPAddress {
        let hostBits = UInt128(family.bitWidth - length)
        return IPAddress(family: family, value: address.value | (hostBits == 128 ? ~0 : (1 << hostBits) - 1))
    }
    /// True when the block is one address.
    package var isHost: Bool { length == family.bitWidth }

    package func contains(_ other: IPAddress) -> Bool { other.family == family && first <= other && other <= last }
    package func contains(_ other: IPPrefix) -> Bool { contains(other.first) && contains(other.last) }

    package static let allIPv4 = IPPrefix(masking: .anyIPv4, length: 0)
    package static let allIPv6 = IPPrefix(masking: .anyIPv6, length: 0)
}

extension IPPrefix: CustomStringConvertible {
    package var description: String { "\(address)/\(length)" }
    /// As nft prints it: a lone address without its length.
    package var shortDescription: String { isHost ? address.description : description }
}

extension IPPrefix: Codable {
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let prefix = IPPrefix(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "'\(text)' is not a CIDR block")
        }
        self = prefix
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
