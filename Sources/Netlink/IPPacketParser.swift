package import NetworkAddresses

/// Reads addresses and ports from the first bytes of an IP packet; every length is checked.
package struct IPPacketParser: Sendable {
    package private(set) var tuple: FiveTuple?
    package private(set) var tcpFlags: LoggedPacket.TCPFlags?
    package private(set) var tcpSequence: UInt32?
    package private(set) var isLaterFragment = false
    /// Where the transport's payload begins; nil if it was cut off.
    package private(set) var payloadOffset: Int?

    private let bytes: [UInt8]

    /// Parses a packet that begins with its IPv4 or IPv6 header.
    package init(_ bytes: [UInt8]) {
        self.bytes = bytes
        switch bytes.first.map({ $0 >> 4 }) {
        case 4: parseIPv4()
        case 6: parseIPv6()
        default: break
        }
    }

    private func number(at offset: Int) -> UInt16? {
        offset + 1 < bytes.count ? UInt16(bytes[offset]) << 8 | UInt16(bytes[offset + 1]) : nil
    }

    private mutating func parseIPv4() {
        guard bytes.count >= 20, let source = IPAddress(bytes: bytes[12..<16]),
            let destination = IPAddress(bytes: bytes[16..<20]), let fragment = number(at: 6)
        else { return }
        isLaterFragment = fragment & 0x1fff != 0
        parseTransport(IPProtocol(rawValue: bytes[9]), at: Int(bytes[0] & 15) * 4, source, destination)
    }

    private mutating func parseIPv6() {
        guard bytes.count >= 40, let source = IPAddress(bytes: bytes[8..<24]),
            let destination = IPAddress(bytes: bytes[24..<40])
        else { return }
        var next = bytes[6]
        var offset = 40
        // Hop-by-hop, routing, destination options and mobility give their length in units of 8 bytes; the
        // authentication header in units of 4; a fragment header has always 8.
        loop: while offset + 8 <= bytes.count {
            switch next {
            case 0, 43, 60, 135, 139, 140:
                next = bytes[offset]
                offset += (Int(bytes[offset + 1]) + 1) * 8
            case 51:
                next = bytes[offset]
                offset += (Int(bytes[offset + 1]) + 2) * 4
            case 44:
                next = bytes[offset]
                isLaterFragment = (number(at: offset + 2) ?? 0) & 0xfff8 != 0
                offset += 8
                if isLaterFragment { break loop }
            default: break loop
            }
        }
        parseTransport(IPProtocol(rawValue: next), at: offset, source, destination)
    }

    private mutating func parseTransport(
        _ transport: IPProtocol, at offset: Int, _ source: IPAddress, _ destination: IPAddress
    ) {
        var ports: (UInt16, UInt16) = (0, 0)
        if !isLaterFragment {
            switch transport {
            case .tcp, .udp, .sctp: ports = (number(at: offset) ?? 0, number(at: offset + 2) ?? 0)
            // The identifier of an echo request or reply is at 4.
            case .icmp where isEcho(offset, [0, 8]), .icmpv6 where isEcho(offset, [128, 129]):
                ports = (number(at: offset + 4) ?? 0, 0)
            default: break
            }
            parseHeader(of: transport, at: offset)
        }
        tuple = FiveTuple(
            transport, from: IPEndpoint(source, ports.0), to: IPEndpoint(destination, ports.1))
    }

    private func isEcho(_ offset: Int, _ types: Set<UInt8>) -> Bool {
        offset < bytes.count && types.contains(bytes[offset])
    }

    private mutating func parseHeader(of transport: IPProtocol, at offset: Int) {
        var length: Int?
        switch transport {
        case .tcp where offset + 13 < bytes.count:
            tcpFlags = LoggedPacket.TCPFlags(rawValue: bytes[offset + 13])
            if let high = number(at: offset + 4), let low = number(at: offset + 6) {
                tcpSequence = UInt32(high) << 16 | UInt32(low)
            }
            length = max(20, Int(bytes[offset + 12] >> 4) * 4)
        case .udp, .icmp, .icmpv6: length = 8
        case .sctp: length = 12
        default: break
        }
        if let length, offset + length <= bytes.count { payloadOffset = offset + length }
    }
}
