import CLinux
package import Netlink
import Synchronization

/// Installs rulesets in the namespace in which it was made; safe for use by several threads.
package final class NftablesConnection: Sendable {
    private let socket: Mutex<NetlinkSocket>

    /// Connects to the calling thread's network namespace, for good. Needs CAP_NET_ADMIN.
    package init() throws(KernelError) {
        socket = Mutex(try NetlinkSocket(bus: Int32(NETLINK_NETFILTER), name: "nftables"))
    }

    /// Installs `ruleset` at one instant, in place of tables of the same names; on failure nothing has changed.
    package func install(_ ruleset: Ruleset) throws(KernelError) { try install(ruleset.batch()) }

    /// Installs a ruleset that was built before.
    package func install(_ batch: RulesetBatch) throws(KernelError) { try send(batch, "install") }

    /// Puts the elements of `set` in the place of those that the set of its name has in a table, at one instant.
    package func refill(_ set: NamedSet, ofTable name: String, family: Table.Family = .inet) throws(KernelError) {
        try send(try Ruleset(tables: [Table(family: family, name: name)]).refill(set), "refill")
    }

    /// Removes the tables of `ruleset` at one instant, whether they are there or not.
    package func remove(_ ruleset: Ruleset) throws(KernelError) {
        try send(try ruleset.removal(), "remove")
    }

    /// Removes a table, whether it is there or not.
    package func remove(table name: String, family: Table.Family = .inet) throws(KernelError) {
        try remove(Ruleset(tables: [Table(family: family, name: name)]))
    }

    private func send(_ batch: RulesetBatch, _ operation: String) throws(KernelError) {
        let (first, failures) = try socket.withLock { socket throws(KernelError) in
            let first = socket.sequences(batch.offsets.count)
            var bytes = batch.bytes
            bytes.withUnsafeMutableBytes { buffer in
                for (index, offset) in batch.offsets.enumerated() {
                    // nlmsg_seq follows the length, the type and the flags.
                    buffer.storeBytes(of: first &+ UInt32(index), toByteOffset: offset + 8, as: UInt32.self)
                }
            }
            try socket.send(bytes)
            return (first, try socket.failures(upTo: first &+ UInt32(batch.offsets.count - 1)))
        }
        guard let failure = failures.first else { return }
        throw KernelError(
            operation, batch.subject(of: Int(failure.sequence &- first)), errno: failure.errno, reason: failure.reason,
            remedy: NftablesRemedy.text(for: failure.errno))
    }
}

/// What a user can do about the kernel's refusals of rules.
private enum NftablesRemedy {
    static func text(for number: Int32) -> String? {
        switch KernelError.Code(errno: number) {
        case .notFound, .notSupported:
            "the kernel may lack an nft module (nft_redir, nft_nat, nft_log, …), see `egress-lab doctor`"
        case .permissionDenied: "run as root, or see `egress-lab doctor`"
        default: nil
        }
    }
}
