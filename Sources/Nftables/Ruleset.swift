/// Everything one network namespace is to hold: tables with their sets, chains and rules. A pure value.
package struct Ruleset: Sendable, Hashable {
    /// The tables, in the order of creation.
    package var tables: [Table]

    /// A ruleset of `tables`.
    package init(tables: [Table] = []) { self.tables = tables }

    /// Exactly what `nft list ruleset` (1.0.6) prints before any packet was counted.
    package var text: String { tables.map(\.text).joined() }

    /// Exactly what `nft -s list ruleset` prints, at any time.
    package var statelessText: String { text.replacing(Counter().text, with: "counter") }
}

extension Ruleset: CustomStringConvertible {
    package var description: String { text }
}

/// A table: a family, a name, and what it holds.
package struct Table: Sendable, Hashable {
    /// The address families a table sees.
    package enum Family: String, Sendable, Hashable {
        case inet, ip, ip6
    }

    package var family: Family
    package var name: String
    package var sets: [NamedSet]
    package var chains: [Chain]

    /// A table; `.inet` sees IPv4 and IPv6.
    package init(family: Family = .inet, name: String, sets: [NamedSet] = [], chains: [Chain] = []) {
        (self.family, self.name, self.sets, self.chains) = (family, name, sets, chains)
    }

    /// The table as nft prints it, with a line feed at the end.
    package var text: String {
        let parts = sets.map(\.text) + chains.map { $0.text(in: family) }
        return "table \(family.rawValue) \(name) {\n" + parts.joined(separator: "\n") + "}\n"
    }
}
