/// Transport and other protocols by their IANA number.
package struct IPProtocol: RawRepresentable, Hashable, Sendable, Codable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    package static let icmp = IPProtocol(rawValue: 1)
    package static let tcp = IPProtocol(rawValue: 6)
    package static let udp = IPProtocol(rawValue: 17)
    package static let icmpv6 = IPProtocol(rawValue: 58)
    package static let sctp = IPProtocol(rawValue: 132)
}

extension IPProtocol: CustomStringConvertible {
    /// As nft prints it: `tcp`, `udp`, `icmp`, `ipv6-icmp`, `sctp`, else the number.
    package var description: String {
        switch self {
        case .icmp: "icmp"
        case .tcp: "tcp"
        case .udp: "udp"
        case .icmpv6: "ipv6-icmp"
        case .sctp: "sctp"
        default: String(rawValue)
        }
    }
}

/// A contiguous range of ports, both ends included.
package struct PortRange: Hashable, Sendable, Codable, CustomStringConvertible {
    package let first: UInt16
    package let last: UInt16

    package init(_ port: UInt16) { self.init(unchecked: port, port) }
    /// nil when `last` is below `first`.
    package init?(_ first: UInt16, through last: UInt16) {
        guard first <= last else { return nil }
        self.init(unchecked: first, last)
    }
    private init(unchecked first: UInt16, _ last: UInt16) { (self.first, self.last) = (first, last) }

    package func contains(_ port: UInt16) -> Bool { first <= port && port <= last }
    package var description: String { first == last ? "\(first)" : "\(first)-\(last)" }
}

/// An address and a port.
package struct IPEndpoint: Hashable, Sendable, Comparable {
    package let address: IPAddress
    package let port: UInt16

    package init(_ address: IPAddress, _ port: UInt16) { (self.address, self.port) = (address, port) }

    /// From `192.0.2.1:80` or `[2001:db8::1]:80`; nil when it is neither.
    package init?(_ text: some StringProtocol) {
        guard let colon = text.lastIndex(of: ":") else { return nil }
        let digits = text[text.index(after: colon)...]
        guard digits.utf8.allSatisfy({ (48...57).contains($0) }), let port = UInt16(digits) else { return nil }
        var host = text[..<colon]
        let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
        if isBracketed { host = host.dropFirst().dropLast() }
        // Brackets belong to IPv6, and IPv6 needs them.
        guard isBracketed == host.contains(":") else { return nil }
        guard let address = IPAddress(host) else { return nil }
        self.init(address, port)
    }

    package static func < (a: IPEndpoint, b: IPEndpoint) -> Bool { (a.address, a.port) < (b.address, b.port) }
}

extension IPEndpoint: CustomStringConvertible {
    /// As Envoy prints it: `192.0.2.1:80`, `[2001:db8::1]:80`.
    package var description: String { address.family == .ipv4 ? "\(address):\(port)" : "[\(address)]:\(port)" }
}

extension IPEndpoint: Codable {
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let endpoint = IPEndpoint(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "'\(text)' is not ADDRESS:PORT")
        }
        self = endpoint
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// What identifies a flow to the kernel. For ICMP the source port is the echo identifier and the destination port 0.
package struct FiveTuple: Hashable, Sendable, Codable, CustomStringConvertible {
    package let transport: IPProtocol
    package let source: IPEndpoint
    package let destination: IPEndpoint

    package init(_ transport: IPProtocol, from source: IPEndpoint, to destination: IPEndpoint) {
        (self.transport, self.source, self.destination) = (transport, source, destination)
    }

    package var description: String { "\(transport) \(source) -> \(destination)" }
}
