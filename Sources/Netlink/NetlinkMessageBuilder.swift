import CLinux

/// Builds netlink messages one after the other, with their attributes, every length filled in afterwards.
package struct NetlinkMessageBuilder: Sendable {
    /// The messages, each at a multiple of 4.
    package private(set) var bytes: [UInt8] = []
    /// Where each message begins.
    package private(set) var offsets: [Int] = []

    package init() {}

    /// Appends a message of `type` with the fixed part `header`, and what `body` adds.
    package mutating func message(
        _ type: Int, flags: Int, _ header: some Any, _ body: (inout NetlinkMessageBuilder) -> Void = { _ in }
    ) {
        let start = bytes.count
        offsets.append(start)
        let message = nlmsghdr(
            nlmsg_len: 0, nlmsg_type: UInt16(type), nlmsg_flags: UInt16(flags | Int(NLM_F_REQUEST)), nlmsg_seq: 0,
            nlmsg_pid: 0)
        append(message)
        append(header)
        body(&self)
        let length = UInt32(bytes.count - start)
        withUnsafeBytes(of: length) { bytes.replaceSubrange(start..<(start + 4), with: $0) }
    }

    /// Appends an attribute with a number in the machine's order.
    package mutating func attribute(_ type: Int, _ value: some FixedWidthInteger) {
        withUnsafeBytes(of: value) { attribute(type, $0) }
    }

    /// Appends an attribute with a zero-terminated string.
    package mutating func attribute(_ type: Int, _ value: String) { attribute(type, Array(value.utf8) + [0]) }

    /// Appends an attribute with bytes.
    package mutating func attribute(_ type: Int, _ value: some Collection<UInt8>) {
        nested(type, flag: 0) { $0.bytes += value }
    }

    /// Appends an attribute with a C structure.
    package mutating func attribute(_ type: Int, structure: some Any) { nested(type, flag: 0) { $0.append(structure) } }

    /// Appends an attribute that holds what `body` adds.
    package mutating func nested(
        _ type: Int, flag: Int = Int(NLA_F_NESTED), _ body: (inout NetlinkMessageBuilder) -> Void
    ) {
        // struct nlattr { __u16 nla_len; __u16 nla_type; }; the length is without the padding.
        let start = bytes.count
        append(UInt16(0))
        append(UInt16(type | flag))
        body(&self)
        withUnsafeBytes(of: UInt16(truncatingIfNeeded: bytes.count - start)) {
            bytes.replaceSubrange(start..<(start + 2), with: $0)
        }
        pad()
    }

    /// Appends a C structure, padded.
    package mutating func append(_ structure: some Any) {
        withUnsafeBytes(of: structure) { bytes += $0 }
    }

    private mutating func pad() {
        while bytes.count % 4 != 0 { bytes.append(0) }
    }

    /// The messages numbered from `first` on, the last of them asking for an acknowledgement.
    package func numbered(from first: UInt32, acknowledging: Bool = true) -> [UInt8] {
        var result = bytes
        result.withUnsafeMutableBytes { buffer in
            for (index, offset) in offsets.enumerated() {
                // nlmsg_flags is at 6, nlmsg_seq at 8.
                buffer.storeBytes(of: first &+ UInt32(index), toByteOffset: offset + 8, as: UInt32.self)
                if acknowledging, index == offsets.count - 1 {
                    let flags = buffer.loadUnaligned(fromByteOffset: offset + 6, as: UInt16.self)
                    buffer.storeBytes(of: flags | UInt16(NLM_F_ACK), toByteOffset: offset + 6, as: UInt16.self)
                }
            }
        }
        return result
    }
}
