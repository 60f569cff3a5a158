package import NetworkAddresses
package import ProxyModel

/// What is known of a connection when its filter chain is chosen.
package struct ConnectionTraits: Equatable, Sendable {
    package var destination: IPEndpoint
    package var source: IPEndpoint
    /// The SNI, lower case; nil without a ClientHello or without the extension.
    package var serverName: String?
    /// nil when no inspector told.
    package var transportProtocol: FilterChainMatch.TransportProtocol?
    /// From ALPN, or `http/1.0`, `http/1.1`, `h2c` from plain bytes.
    package var applicationProtocols: [String]

    package init(
        destination: IPEndpoint, source: IPEndpoint, serverName: String? = nil,
        transportProtocol: FilterChainMatch.TransportProtocol? = nil, applicationProtocols: [String] = []
    ) {
        self.destination = destination
        self.source = source
        self.serverName = serverName
        self.transportProtocol = transportProtocol
        self.applicationProtocols = applicationProtocols
    }
}

extension Listener {
    /// The filter chain for a connection, as Envoy chooses it: the best value of each criterion in turn, without going
    /// back; then the default chain.
    package func filterChain(for traits: ConnectionTraits) -> FilterChain? {
        var chains = Candidates(filterChains)
        chains.keepBest { $0.destinationPort.map { $0 == traits.destination.port ? 1 : nil } ?? 0 }
        chains.keepBest { $0.prefixRanges.rank(of: traits.destination.address) }
        chains.keepBest { $0.rank(ofServerName: traits.serverName) }
        // Envoy calls connections raw_buffer that no inspector recognised as something else.
        let transport = traits.transportProtocol ?? .rawBuffer
        chains.keepBest { $0.transportProtocol.map { $0 == transport ? 1 : nil } ?? 0 }
        chains.keepBest { match in
            guard !match.applicationProtocols.isEmpty else { return 0 }
            let place = traits.applicationProtocols.firstIndex { match.applicationProtocols.contains($0) }
            return place.map { Int.max - $0 }
        }
        chains.keepBest { $0.sourcePrefixRanges.rank(of: traits.source.address) }
        return chains.first ?? defaultFilterChain
    }
}

extension FilterChainMatch {
    /// Exact names before wildcards, longer wildcards before shorter, no names last; nil when none of them matches.
    fileprivate func rank(ofServerName name: String?) -> Int? {
        if serverNames.isEmpty { return 0 }
        guard let name else { return nil }
        var best: Int?
        for candidate in serverNames {
            if candidate == name { return Int.max }
            if candidate.hasPrefix("*"), name.hasSuffix(candidate.dropFirst()),
                name.utf8.count > candidate.utf8.count - 1
            {
                best = max(best ?? 0, candidate.utf8.count)
            }
        }
        return best
    }
}

extension [IPPrefix] {
    /// 0 for an empty list, else one more than the longest prefix that holds `address`; nil when none does.
    fileprivate func rank(of address: IPAddress) -> Int? {
        isEmpty ? 0 : filter { $0.contains(address) }.map { $0.length + 1 }.max()
    }
}

/// The chains that are still in the running.
private struct Candidates {
    private let chains: [FilterChain]
    private var indices: [Int]

    init(_ chains: [FilterChain]) {
        self.chains = chains
        indices = Array(chains.indices)
    }

    var first: FilterChain? { indices.first.map { chains[$0] } }

    /// Leaves those whose match has the highest rank; ones without a rank don't match.
    mutating func keepBest(_ rank: (FilterChainMatch) -> Int?) {
        var best: Int?
        var kept: [Int] = []
        for index in indices {
            guard let value = rank(chains[index].match) else { continue }
            if let top = best, value <= top {
                if value == top { kept.append(index) }
            } else {
                best = value
                kept = [index]
            }
        }
        indices = kept
    }
}
