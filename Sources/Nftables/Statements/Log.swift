/// Sends a copy of the packet's first bytes to the packet log of a group (NFLOG).
package struct Log: Statement {
    /// The most bytes of a prefix (`NF_LOG_PREFIXLEN` is 128 with the final zero).
    package static let longestPrefix = 127

    package let prefix: String?
    package let group: UInt16
    /// How many bytes to copy; nil for the receiver's own limit.
    package let snaplen: UInt32?

    /// A log to `group`; the prefix is cut to `longestPrefix` bytes.
    package init(prefix: String? = nil, group: UInt16, snaplen: UInt32? = nil) {
        self.prefix = prefix?.quotable(maximumBytes: Self.longestPrefix)
        (self.group, self.snaplen) = (group, snaplen)
    }

    package var text: String {
        var text = "log"
        if let prefix { text += " prefix \"\(prefix)\"" }
        text += " group \(group)"
        if let snaplen { text += " snaplen \(snaplen)" }
        return text
    }
}
