import NetworkAddresses

/// The handshake of SCTP as far as a policy needs it: INIT and its answers (RFC 9260), so that a kernel without SCTP
/// sockets does.
struct SCTPPacket {
    enum Kind: UInt8 {
        case initiate = 1
        case initiateAcknowledgement = 2
        case abort = 6
    }

    var kind: Kind
    var sourcePort: UInt16
    var destinationPort: UInt16
    /// The receiver's tag; 0 in an INIT.
    var verificationTag: UInt32
    /// The sender's own tag.
    var initiateTag: UInt32

    private static let headerSize = 12

    init(
        _ kind: Kind, from sourcePort: UInt16, to destinationPort: UInt16, verificationTag: UInt32 = 0,
        initiateTag: UInt32 = 1
    ) {
        self.kind = kind
        self.sourcePort = sourcePort
        self.destinationPort = destinationPort
        self.verificationTag = verificationTag
        self.initiateTag = initiateTag
    }

    /// Reads a packet from its SCTP header on; nil for other chunks.
    init?(_ bytes: ArraySlice<UInt8>) {
        let bytes = Array(bytes)
        guard bytes.count >= Self.headerSize + 4, let kind = Kind(rawValue: bytes[Self.headerSize]) else { return nil }
        func number(_ offset: Int) -> UInt32 {
            bytes[offset..<offset + 4].reduce(0) { $0 << 8 | UInt32($1) }
        }
        self.init(
            kind, from: UInt16(bytes[0]) << 8 | UInt16(bytes[1]), to: UInt16(bytes[2]) << 8 | UInt16(bytes[3]),
            verificationTag: number(4), initiateTag: bytes.count >= 20 ? number(16) : 0)
    }

    /// The packet from its SCTP header on.
    ///
    /// struct sctphdr { __be16 source, dest; __be32 vtag; __le32 checksum; }, then one chunk: type, flags, length, and
    /// for INIT and INIT ACK the tag, the window, the streams out and in, and the first sequence number.
    var bytes: [UInt8] {
        var bytes = Self.big(sourcePort) + Self.big(destinationPort) + Self.big(verificationTag) + [0, 0, 0, 0]
        if kind == .abort {
            bytes += [kind.rawValue, 0, 0, 4]
        } else {
            // The acknowledgement's cookie (parameter 7) is mandatory; its length includes its own header.
            let cookie: [UInt8] = kind == .initiate ? [] : [0, 7, 0, 8, 1, 2, 3, 4]
            bytes += [kind.rawValue, 0, 0, UInt8(20 + cookie.count)] + Self.big(initiateTag)
            bytes += [0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1] + cookie
        }
        let sum = Self.checksum(bytes)
        for index in 0..<4 { bytes[8 + index] = UInt8(truncatingIfNeeded: sum >> (8 * UInt32(index))) }
        return bytes
    }

    private static func big<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
        withUnsafeBytes(of: number.bigEndian) { Array($0) }
    }

    /// CRC32c.
    private static func checksum(_ bytes: [UInt8]) -> UInt32 {
        var crc: UInt32 = ~0
        for byte in bytes {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0x82f6_3b78 : crc >> 1 }
        }
        return ~crc
    }

    /// What follows the IP header, which an IPv4 raw socket receives too.
    static func payload(_ bytes: [UInt8], _ family: IPFamily) -> ArraySlice<UInt8> {
        let start = family == .ipv4 ? Int((bytes.first ?? 0) & 0xf) * 4 : 0
        return start <= bytes.count ? bytes[start...] : []
    }
}
