internal import NIOConcurrencyHelpers
package import NetworkAddresses

/// Names and their addresses: what a `ZoneResponder` answers from.
package struct DNSZone: Sendable, Equatable {
    /// The cluster's domain, for which this server is the authority; nil outside a cluster.
    package let clusterDomain: String?
    fileprivate let exact: [String: [IPAddress]]
    /// Names that stand for others.
    fileprivate let aliases: [String: String]
    /// By suffix, without the `*.`.
    fileprivate let wildcards: [String: [IPAddress]]
    /// Names without records above names with records: they exist (RFC 8020).
    fileprivate let ancestors: Set<String>

    /// `records` maps names, or `*.suffix`, to addresses of either family; `aliases` names to other names.
    package init(
        records: [String: [IPAddress]], aliases: [String: String] = [:], clusterDomain: String? = nil
    ) {
        self.clusterDomain = clusterDomain?.lowercased()
        self.aliases = aliases
        var exact: [String: [IPAddress]] = [:]
        var wildcards: [String: [IPAddress]] = [:]
        var ancestors: Set<String> = []
        for (key, addresses) in records {
            var name = key.lowercased()
            if name.hasSuffix(".") { name.removeLast() }
            if name.hasPrefix("*.") {
                name.removeFirst(2)
                wildcards[name] = addresses
                ancestors.insert(name)
            } else {
                exact[name] = addresses
            }
            for suffix in Self.parents(of: name) where !ancestors.insert(suffix).inserted { break }
        }
        for name in aliases.keys {
            for suffix in Self.parents(of: name) where !ancestors.insert(suffix).inserted { break }
        }
        self.exact = exact
        self.wildcards = wildcards
        self.ancestors = ancestors
    }

    /// The addresses of `name`: empty when it exists without any, nil when it doesn't exist.
    fileprivate func addresses(of name: String) -> [IPAddress]? {
        if let addresses = exact[name] { return addresses }
        for suffix in Self.parents(of: name) {
            if let addresses = wildcards[suffix] { return addresses }
        }
        return ancestors.contains(name) ? [] : nil
    }

    /// The names that `name` stands for, one after the other; empty: it stands for itself.
    fileprivate func chain(from name: String) -> [String] {
        var names: [String] = []
        // One that is longer leads in a circle.
        while names.count < 8, let next = aliases[names.last ?? name] { names.append(next) }
        return names
    }

    fileprivate func isInCluster(_ name: String) -> Bool {
        guard let clusterDomain else { return false }
        return name == clusterDomain || name.hasSuffix("." + clusterDomain)
    }

    /// `b.c` and `c` of `a.b.c`.
    private static func parents(of name: String) -> some Sequence<String> {
        sequence(first: name[...]) { rest in
            rest.firstIndex(of: ".").map { rest[rest.index(after: $0)...] }
        }
        .dropFirst().map(String.init)
    }
}

/// Answers from a zone that may be replaced at any time: NODATA for a missing family, NXDOMAIN for a missing name.
package final class ZoneResponder: DNSResponder {
    /// CoreDNS' `ttl` for cluster names.
    package static let clusterTTL: UInt32 = 5
    package static let internetTTL: UInt32 = 30

    private let zone: NIOLockedValueBox<DNSZone>

    package init(_ zone: DNSZone) { self.zone = NIOLockedValueBox(zone) }

    package convenience init(records: [String: [IPAddress]], clusterDomain: String? = nil) {
        self.init(DNSZone(records: records, clusterDomain: clusterDomain))
    }

    /// Puts `zone` in force: queries read from now on are answered from it.
    package func update(_ zone: DNSZone) { self.zone.withLockedValue { $0 = zone } }

    package func answer(name: String, type: DNSRecordType) -> DNSAnswer {
        let zone = zone.withLockedValue { $0 }
        let isInCluster = zone.isInCluster(name)
        let chain = zone.chain(from: name)
        // Whoever asks for the alias itself gets no more.
        let found = type == .cname && !chain.isEmpty ? [] : zone.addresses(of: chain.last ?? name)
        return DNSAnswer(
            code: found == nil ? .nameError : .noError,
            addresses: (found ?? []).filter { $0.family == type.family },
            ttlSeconds: isInCluster ? Self.clusterTTL : Self.internetTTL,
            canonicalNames: type == .cname ? Array(chain.prefix(1)) : chain,
            zone: isInCluster ? zone.clusterDomain : nil)
    }
}
