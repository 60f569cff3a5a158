package import CLinux

/// Reading of netlink messages and attributes, every length checked.
package enum NetlinkAttributes {
    /// Hands each message of a datagram to `body`: its header and what follows it.
    package static func forEachMessage(
        _ bytes: UnsafeRawBufferPointer, _ body: (nlmsghdr, UnsafeRawBufferPointer) -> Void
    ) {
        var offset = 0
        let size = MemoryLayout<nlmsghdr>.size
        while offset + size <= bytes.count {
            let header = bytes.loadUnaligned(fromByteOffset: offset, as: nlmsghdr.self)
            let length = Int(header.nlmsg_len)
            guard length >= size, offset + length <= bytes.count else { return }
            body(header, UnsafeRawBufferPointer(rebasing: bytes[(offset + size)..<(offset + length)]))
            offset += (length + 3) & ~3
        }
    }

    /// Hands each attribute to `body`: its type without flags, and its value.
    package static func forEach(_ bytes: UnsafeRawBufferPointer, _ body: (UInt16, UnsafeRawBufferPointer) -> Void) {
        var offset = 0
        // struct nlattr { __u16 nla_len; __u16 nla_type; }
        while offset + 4 <= bytes.count {
            let length = Int(bytes.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
            let type = bytes.loadUnaligned(fromByteOffset: offset + 2, as: UInt16.self)
            guard length >= 4, offset + length <= bytes.count else { return }
            body(type & 0x3fff, UnsafeRawBufferPointer(rebasing: bytes[(offset + 4)..<(offset + length)]))
            offset += (length + 3) & ~3
        }
    }

    /// A zero-terminated string.
    package static func string(_ value: UnsafeRawBufferPointer) -> String {
        String(decoding: value.prefix { $0 != 0 }, as: UTF8.self)
    }

    /// A number in the machine's order; nil if the value is too short.
    package static func number<Number: FixedWidthInteger>(
        _ value: UnsafeRawBufferPointer, as type: Number.Type
    ) -> Number? {
        value.count >= MemoryLayout<Number>.size ? value.loadUnaligned(as: Number.self) : nil
    }
}
