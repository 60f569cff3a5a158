package import Netlink
package import NetworkAddresses

/// Looks fields up in a map and takes the verdict found there; goes on with the next rule if there is none.
package struct VerdictMap: Statement {
    /// Where the verdicts are.
    package enum Source: Sendable, Hashable {
        /// A named verdict map of the same table.
        case named(String)
        /// A map of this rule's own; every element needs a verdict.
        case anonymous([SetElement])
    }

    /// The fields; more than one are concatenated.
    package let fields: [Field]
    package let source: Source

    /// `ip daddr . meta l4proto . th dport vmap @services` and the like.
    package init(_ fields: [Field], _ source: Source) { (self.fields, self.source) = (fields, source) }

    package var text: String {
        let left = fields.map(\.text).joined(separator: " . ")
        switch source {
        case .named(let name): return "\(left) vmap @\(name)"
        case .anonymous(let elements):
            let flags: NamedSet.Flags = elements.contains { $0.key.contains(where: \.isInterval) } ? .interval : []
            let listing = SetListing(keys: fields.map(\.dataType), flags: flags, elements: elements)
            return "\(left) vmap { \(listing.texts.joined(separator: ", ")) }"
        }
    }

    package func resolved(transport: IPProtocol?) -> VerdictMap {
        VerdictMap(fields.map { $0.resolved(transport: transport) }, source)
    }

    package func lower(into rule: inout RuleLowering) throws(KernelError) {
        try rule.load(fields)
        switch source {
        case .named(let name): try rule.lookup(named: name, isMap: true)
        case .anonymous(let elements):
            let flags: NamedSet.Flags = elements.contains { $0.key.contains(where: \.isInterval) } ? .interval : []
            try rule.lookup(
                anonymous: .verdictMap(
                    name: "__map%d", keys: fields.map(\.dataType), flags: flags, elements: elements))
        }
    }
}
