/// What went wrong with a proxy's Envoy, in words for the user, with what Envoy itself said last.
package struct EnvoyError: Error, Sendable, CustomStringConvertible {
    /// The kind of failure, to decide by.
    package enum Code: Sendable, Hashable {
        /// It did not come up.
        case start
        /// It ended unasked.
        case ended
        /// It refused a configuration; the one before stays in force.
        case rejected
        /// It did not do in time what it was asked for.
        case timedOut
        /// What it said could not be understood.
        case unreadable
    }

    package let code: Code
    /// Whose Envoy: `sidecar default/sleep-1`.
    package let proxy: String
    package let reason: String
    /// The last lines of its log, oldest first.
    package let log: [String]

    package var description: String {
        let said = log.isEmpty ? "; it logged nothing" : "; its last log lines:\n" + log.joined(separator: "\n")
        return "Envoy of \(proxy): \(reason)\(said)"
    }
}
