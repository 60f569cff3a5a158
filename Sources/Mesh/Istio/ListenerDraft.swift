import Manifests
import NetworkAddresses
import ProxyModel

/// A listener while services are still being added to it.
struct ListenerDraft {
    /// The HTTP side: one connection manager for all services that share the listener.
    struct HTTPSide {
        var routeConfiguration: String
        var origin: Origin
        /// Whether some of its hosts are resolved per request.
        var resolvesHosts = false
    }

    var name: String
    var addresses: [IPEndpoint]
    var http: HTTPSide?
    var chains: [FilterChain] = []
    /// Set by protocols that share a listener with no other: Mongo and MySQL.
    var exclusiveProtocol: PortProtocol?
    var origin: Origin

    /// The first address it listens on.
    var address: IPAddress { addresses.first?.address ?? .anyIPv4 }

    /// What remains of `chain` when older chains keep what they match already; nil when nothing does.
    func remainder(of chain: FilterChain) -> FilterChain? {
        var chain = chain
        for older in chains
        where older.match.transportProtocol == chain.match.transportProtocol
            && older.match.applicationProtocols == chain.match.applicationProtocols
        {
            if older.match.prefixRanges == chain.match.prefixRanges {
                if older.match.serverNames.isEmpty, chain.match.serverNames.isEmpty { return nil }
                if chain.match.serverNames.isEmpty { continue }
                chain.match.serverNames.removeAll(where: older.match.serverNames.contains)
                if chain.match.serverNames.isEmpty { return nil }
            } else if older.match.serverNames == chain.match.serverNames, !chain.match.prefixRanges.isEmpty {
                chain.match.prefixRanges.removeAll(where: older.match.prefixRanges.contains)
                if chain.match.prefixRanges.isEmpty { return nil }
            }
        }
        return chain
    }
}
