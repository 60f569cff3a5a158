package import Manifests
package import NetworkAddresses

/// Sets of a node's rules that hold the addresses which lookups gave for names: the lab fills them while it runs.
package struct NameSet: Sendable, Equatable {
    /// The table that they are in.
    package static let table = PolicyTable.name

    /// The sets' names, by family.
    package var ipv4: String
    package var ipv6: String
    package var patterns: [DomainPattern]
    /// The addresses of the pods whose lookups count.
    package var subjects: Set<IPAddress>

    package init(ipv4: String, ipv6: String, patterns: [DomainPattern], subjects: Set<IPAddress>) {
        self.ipv4 = ipv4
        self.ipv6 = ipv6
        self.patterns = patterns
        self.subjects = subjects
    }

    package var names: [String] { [ipv4, ipv6] }

    /// True where the answer to a lookup of `name` belongs into the sets.
    package func holds(_ name: String, askedBy client: IPAddress) -> Bool {
        subjects.contains(client) && patterns.contains { $0.matches(name) }
    }
}
