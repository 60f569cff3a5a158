/// The two versions of the Internet Protocol.
package enum IPFamily: String, Sendable, Hashable, Codable, CaseIterable, Comparable {
    case ipv4, ipv6

    /// The number of bits of an address: 32 or 128.
    package var bitWidth: Int { self == .ipv4 ? 32 : 128 }

    package static func < (a: IPFamily, b: IPFamily) -> Bool { a == .ipv4 && b == .ipv6 }
}

/// An IPv4 or IPv6 address, parsed once at the edge.
///
/// The text form is dotted decimal for IPv4 and RFC 5952 for IPv6. Zone identifiers are not accepted.
package struct IPAddress: Hashable, Sendable {
    package let family: IPFamily
    /// The address as a number; an IPv4 address uses the low 32 bits.
    package let value: UInt128

    package init(family: IPFamily, value: UInt128) {
        self.family = family
        self.value = family == .ipv4 ? value & 0xffff_ffff : value
    }

    package init(ipv4 value: UInt32) { self.init(family: .ipv4, value: UInt128(value)) }

    package init(_ a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8) {
        self.init(ipv4: UInt32(a) << 24 | UInt32(b) << 16 | UInt32(c) << 8 | UInt32(d))
    }

    /// An address from its 4 or 16 bytes in network order; nil for any other count.
    package init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 4 || bytes.count == 16 else { return nil }
        self.init(
            family: bytes.count == 4 ? .ipv4 : .ipv6, value: bytes.reduce(0 as UInt128) { $0 << 8 | UInt128($1) })
    }

    /// An address from its text; nil when it is not one.
    package init?(_ text: some StringProtocol) {
        if text.utf8.contains(UInt8(ascii: ":")) {
            guard let value = Self.parseIPv6(String(text)) else { return nil }
            self.init(family: .ipv6, value: value)
        } else {
            guard let value = Self.parseIPv4(text) else { return nil }
            self.init(ipv4: value)
        }
    }

    /// The 4 or 16 bytes in network order.
    package var bytes: [UInt8] {
        stride(from: family.bitWidth - 8, through: 0, by: -8).map { UInt8(truncatingIfNeeded: value >> UInt128($0)) }
    }

    package static let anyIPv4 = IPAddress(ipv4: 0)
    package static let anyIPv6 = IPAddress(family: .ipv6, value: 0)
    package static let loopbackIPv4 = IPAddress(127, 0, 0, 1)
    package static let loopbackIPv6 = IPAddress(family: .ipv6, value: 1)

    /// True for 127.0.0.0/8 and ::1.
    package var isLoopback: Bool { family == .ipv4 ? value >> 24 == 127 : value == 1 }
    /// True for 169.254.0.0/16 and fe80::/10.
    package var isLinkLocal: Bool { family == .ipv4 ? value >> 16 == 0xa9fe : value >> 118 == 0x3fa }
    /// True for 0.0.0.0 and ::.
    package var isUnspecified: Bool { value == 0 }
    /// True for 224.0.0.0/4 and ff00::/8.
    package var isMulticast: Bool { family == .ipv4 ? value >> 28 == 0xe : value >> 120 == 0xff }

    /// The IPv4 address inside `::ffff:a.b.c.d`, else the address itself: what a dual-stack socket reports for IPv4.
    package var unmapped: IPAddress {
        family == .ipv6 && value >> 32 == 0xffff ? IPAddress(ipv4: UInt32(truncatingIfNeeded: value)) : self
    }

    /// The address `offset` places further on; wraps within its family.
    package func advanced(by offset: Int) -> IPAddress {
        IPAddress(family: family, value: value &+ UInt128(truncatingIfNeeded: offset))
    }

    private static func parseIPv4(_ text: some StringProtocol) -> UInt32? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var value: UInt32 = 0
        for part in parts {
            // A leading zero is refused: some readers take it for octal, so the text is ambiguous.
            guard (1...3).contains(part.utf8.count), part.utf8.allSatisfy({ (48...57).contains($0) }),
                part.utf8.count == 1 || part.utf8.first != 48, let number = UInt8(part)
            else { return nil }
            value = value << 8 | UInt32(number)
        }
        return value
    }

    private static func parseIPv6(_ text: String) -> UInt128? {
        let halves = text.splitOnce("::")
        // An IPv4 tail may stand at the very end only.
        guard let head = groups(of: halves.0, allowingIPv4: halves.1 == nil) else { return nil }
        guard let rest = halves.1 else { return head.count == 8 ? join(head) : nil }
        guard !rest.contains("::"), let tail = groups(of: rest, allowingIPv4: true), head.count + tail.count <= 7 else {
            return nil
        }
        return join(head + Array(repeating: 0, count: 8 - head.count - tail.count) + tail)
    }

    private static func join(_ groups: [UInt16]) -> UInt128 { groups.reduce(0) { $0 << 16 | UInt128($1) } }

    private static func groups(of text: Substring, allowingIPv4: Bool) -> [UInt16]? {
        if text.isEmpty { return [] }
        var result: [UInt16] = []
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        for (index, part) in parts.enumerated() {
            if part.contains(".") {
                guard allowingIPv4, index == parts.count - 1, let ipv4 = parseIPv4(part) else { return nil }
                result += [UInt16(ipv4 >> 16), UInt16(truncatingIfNeeded: ipv4)]
            } else {
                guard (1...4).contains(part.utf8.count), part.utf8.allSatisfy({ $0 != 43 && $0 != 45 }),
                    let group = UInt16(part, radix: 16)
                else { return nil }
                result.append(group)
            }
        }
        return result.count <= 8 ? result : nil
    }
}

extension IPAddress: Comparable {
    package static func < (a: IPAddress, b: IPAddress) -> Bool {
        a.family == b.family ? a.value < b.value : a.family < b.family
    }
}

extension IPAddress: CustomStringConvertible {
    package var description: String {
        if family == .ipv4 { return bytes.map(String.init).joined(separator: ".") }
        let groups = (0..<8).map { UInt16(truncatingIfNeeded: value >> UInt128(112 - 16 * $0)) }
        if value >> 32 == 0xffff { return "::ffff:" + unmapped.description }
        // RFC 5952: the longest run of two or more zero groups, the first of equals, becomes "::".
        var best = 0..<0
        var start = 0
        while start < 8 {
            var end = start
            while end < 8, groups[end] == 0 { end += 1 }
            if end - start > max(best.count, 1) { best = start..<end }
            start = max(end, start + 1)
        }
        let hex = { (range: Range<Int>) in groups[range].map { String($0, radix: 16) }.joined(separator: ":") }
        return best.isEmpty ? hex(0..<8) : hex(0..<best.lowerBound) + "::" + hex(best.upperBound..<8)
    }
}

extension IPAddress: Codable {
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let address = IPAddress(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "'\(text)' is not an IP address")
        }
        self = address
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

extension String {
    /// The text before and after the first `separator`; the second part is nil without one.
    func splitOnce(_ separator: String) -> (Substring, Substring?) {
        var index = startIndex
        while index < endIndex {
            if self[index...].hasPrefix(separator) {
                return (self[..<index], self[self.index(index, offsetBy: separator.count)...])
            }
            index = self.index(after: index)
        }
        return (self[...], nil)
    }
}
