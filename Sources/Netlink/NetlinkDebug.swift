import CLinux
import Glibc

/// Prints netlink messages to standard error when `EGRESS_LAB_NETLINK_DEBUG` is set.
enum NetlinkDebug {
    /// One line a message: direction, socket, type, flags, sequence, length and the payload's first bytes.
    static func print(_ bytes: UnsafeRawBufferPointer, _ name: String, _ direction: String) {
        NetlinkAttributes.forEachMessage(bytes) { header, payload in
            let digits = payload.prefix(96).map { byte in
                (byte < 16 ? "0" : "") + String(byte, radix: 16)
            }
            let line =
                "\(direction) \(name) type \(header.nlmsg_type) flags 0x\(String(header.nlmsg_flags, radix: 16)) "
                + "seq \(header.nlmsg_seq) len \(header.nlmsg_len): \(digits.joined())\n"
            line.withCString { _ = write(2, $0, strlen($0)) }
        }
    }
}
