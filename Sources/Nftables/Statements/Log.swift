import CNftnl
package import Netlink

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

    package func lower(into rule: inout RuleLowering) throws(KernelError) {
        let group = RuleLowering.Attribute.u16(Int(NFTNL_EXPR_LOG_GROUP), group)
        let length = snaplen.map { RuleLowering.Attribute.u32(Int(NFTNL_EXPR_LOG_SNAPLEN), $0) }
        switch (prefix, length) {
        case (let prefix?, let length?):
            try rule.append("log", .string(Int(NFTNL_EXPR_LOG_PREFIX), prefix), group, length)
        case (let prefix?, nil): try rule.append("log", .string(Int(NFTNL_EXPR_LOG_PREFIX), prefix), group)
        case (nil, let length?): try rule.append("log", group, length)
        case (nil, nil): try rule.append("log", group)
        }
    }
}
