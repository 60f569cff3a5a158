package import NetworkAddresses

/// A packet that a `log group` rule reported.
package struct LoggedPacket: Sendable, Hashable {
    /// The flags of a TCP header.
    package struct TCPFlags: OptionSet, Sendable, Hashable {
        package let rawValue: UInt8
        package init(rawValue: UInt8) { self.rawValue = rawValue }
        package static let fin = TCPFlags(rawValue: 1)
        package static let syn = TCPFlags(rawValue: 2)
        package static let rst = TCPFlags(rawValue: 4)
        package static let ack = TCPFlags(rawValue: 16)
    }

    /// The group of the rule.
    package var group: UInt16
    /// The rule's `log prefix`.
    package var prefix: String
    /// nil for what has no addresses we understand (not IP, or cut too short).
    package var tuple: FiveTuple?
    /// Of TCP packets that were not cut before their flags.
    package var tcpFlags: TCPFlags?
    /// Of TCP packets that were not cut before it.
    package var tcpSequence: UInt32?
    /// True for an IP fragment other than the first: it has no ports.
    package var isLaterFragment = false
    /// What follows the transport header, as far as it was copied.
    package var payload: [UInt8] = []
    /// The packet from its IP header on, as far as it was copied.
    package var bytes: [UInt8] = []
    /// The owner of the sending socket, known in the output path only.
    package var uid: UInt32?
    package var gid: UInt32?
    /// The interface's index in the namespace of the rule.
    package var inInterface: UInt32?
    package var outInterface: UInt32?
    package var mark: UInt32?
    /// Nanoseconds since 1970, if the kernel stamped the packet; not all paths do.
    package var timestamp: UInt64?
    /// Counts the group's packets from 0 on.
    package var sequence: UInt32?
}
