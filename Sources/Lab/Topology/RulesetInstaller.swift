import Netlink
import Nftables

/// Installs rulesets; equal ones are built once, and each namespace keeps its connection.
///
/// Closing an nftables socket waits until the kernel has freed what its transactions replaced: some milliseconds each,
/// which a lab of a thousand pods would spend one after the other.
struct RulesetInstaller {
    private var built: [String: RulesetBatch] = [:]
    private var connections: [ObjectIdentifier: NftablesConnection] = [:]

    mutating func install(_ ruleset: Ruleset, in namespace: NetworkNamespace, replacing old: Ruleset?) throws {
        let batch = try batch(for: ruleset)
        let gone = (old?.tables ?? []).filter { table in
            !ruleset.tables.contains { $0.family == table.family && $0.name == table.name }
        }
        let connection = try connection(to: namespace)
        try connection.install(batch)
        if !gone.isEmpty { try connection.remove(Ruleset(tables: gone)) }
    }

    /// Lets go of a namespace that is to disappear.
    mutating func forget(_ namespace: NetworkNamespace) { connections[ObjectIdentifier(namespace)] = nil }

    mutating func connection(to namespace: NetworkNamespace) throws -> NftablesConnection {
        if let known = connections[ObjectIdentifier(namespace)] { return known }
        let connection = try namespace.enter { try NftablesConnection() }
        connections[ObjectIdentifier(namespace)] = connection
        return connection
    }

    private mutating func batch(for ruleset: Ruleset) throws -> RulesetBatch {
        let text = ruleset.text
        if let known = built[text] { return known }
        let batch = try ruleset.batch()
        built[text] = batch
        return batch
    }
}
