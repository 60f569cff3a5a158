package import NetworkAddresses

/// The names that a pod's DNS agent answers itself: of the services that the pod's proxy sees (capture.md §7).
///
/// A Service is known by its short forms, too, and every name also behind the first search domain of the pod's
/// `resolv.conf`, which clients try before the name alone.
package struct NameTable: Sendable, Equatable {
    /// What the agent says of a name that it knows.
    package struct Answer: Sendable, Equatable {
        /// Of all families that the proxy speaks.
        package var addresses: [IPAddress]
        /// The name without the search domain, where the question was for one with it.
        package var canonicalName: String?
    }

    /// Lower case, without a final dot.
    private let exact: [String: [IPAddress]]
    /// By suffix, without the `*.`.
    private let wildcards: [String: [IPAddress]]
    /// `.default.svc.cluster.local`
    private let searchSuffix: String

    init(services: [RegistryService], namespace: String, families: ProxyFamilies) {
        var exact: [String: [IPAddress]] = [:]
        var wildcards: [String: [IPAddress]] = [:]
        for service in services {
            let addresses = Self.addresses(of: service).filter { families.contains($0.family) }
            // What has no address is asked of the cluster's server: a CIDR block names no host, and nobody knows where
            // clients of resolution NONE mean to go.
            guard !addresses.isEmpty else { continue }
            let host = service.hostname
            if host.hasPrefix("*.") {
                wildcards[String(host.dropFirst(2)), default: []] += addresses
                continue
            }
            for name in Self.names(of: service, namespace: namespace) where exact[name] == nil {
                exact[name] = addresses
            }
        }
        self.exact = exact
        self.wildcards = wildcards
        searchSuffix = ".\(namespace).svc.\(LabNetwork.clusterDomain)"
    }

    /// All names and wildcards, sorted, with their addresses.
    package var entries: [(name: String, addresses: [IPAddress])] {
        (exact.map { ($0, $1) } + wildcards.map { ("*." + $0, $1) }).sorted { $0.0 < $1.0 }
    }

    /// What is known of `name`, which is in lower case and without a final dot; nil: nothing.
    package func answer(_ name: String) -> Answer? {
        let bare = name.hasSuffix(searchSuffix) ? String(name.dropLast(searchSuffix.count)) : nil
        if let addresses = exact[name] { return Answer(addresses: addresses) }
        if let bare, let addresses = exact[bare] { return Answer(addresses: addresses, canonicalName: bare) }
        if let addresses = wildcard(for: name) { return Answer(addresses: addresses) }
        if let bare, let addresses = wildcard(for: bare) { return Answer(addresses: addresses, canonicalName: bare) }
        return nil
    }

    /// The longest wildcard counts.
    private func wildcard(for name: String) -> [IPAddress]? {
        guard !wildcards.isEmpty else { return nil }
        var rest = name[...]
        while let dot = rest.firstIndex(of: ".") {
            rest = rest[rest.index(after: dot)...]
            if let addresses = wildcards[String(rest)] { return addresses }
        }
        return nil
    }

    /// ClusterIPs, declared or allocated addresses; of a headless Service the pods'.
    private static func addresses(of service: RegistryService) -> [IPAddress] {
        if service.resolution == .headless {
            return service.ports.first?.endpoints.compactMap { IPAddress($0.host) } ?? []
        }
        return service.addresses.filter(\.isHost).map(\.address)
    }

    private static func names(of service: RegistryService, namespace: String) -> [String] {
        guard service.isKubernetes else { return [service.hostname] }
        let qualified = "\(service.name).\(service.namespace)"
        let short = service.namespace == namespace ? [service.name] : []
        return [service.hostname, qualified + ".svc", qualified] + short
    }
}
