package import NetworkAddresses

/// All observations of a lab, indexed by the tuples that they are about. A value: whoever shares it guards it.
package struct ObservationLog: Sendable {
    /// What the node's Service translation may turn a destination into.
    package var translations: [IPEndpoint: Set<IPEndpoint>] = [:]
    /// The addresses inside the cluster.
    package var clusterRanges: IPPrefixSet

    private var packets: [FiveTuple: [PacketSeen]] = [:]
    private var drops: [FiveTuple: [DropSeen]] = [:]
    private var served: [FiveTuple: [Served]] = [:]
    private var names: [FiveTuple: [NameServed]] = [:]
    private var accepted: [FiveTuple: [ProxyAccepted]] = [:]
    private var connecting: [ProxyConnection: [ProxyConnecting]] = [:]
    private var records: [ProxyConnection: [ProxyRecord]] = [:]
    private var closed: Set<ProxyConnection> = []
    /// Whose upstream a tuple is: leads from a drop back to the flows it ends.
    private var downstreams: [FiveTuple: [ProxyConnection]] = [:]
    private var acceptedTuples: [ProxyConnection: FiveTuple] = [:]
    /// Messages that the kernel could not deliver.
    package private(set) var lostMessages = 0

    package init(clusterRanges: IPPrefixSet) { self.clusterRanges = clusterRanges }

    package mutating func add(_ observation: Observation) {
        switch observation {
        case .packet(let seen): packets[seen.tuple, default: []].append(seen)
        case .drop(let seen): drops[seen.tuple, default: []].append(seen)
        case .served(let seen): served[seen.tuple, default: []].append(seen)
        case .nameServed(let seen): names[seen.tuple, default: []].append(seen)
        case .proxyAccepted(let seen):
            accepted[seen.tuple, default: []].append(seen)
            acceptedTuples[seen.connection] = seen.tuple
        case .proxyConnecting(let seen):
            connecting[seen.connection, default: []].append(seen)
            downstreams[seen.tuple, default: []].append(seen.connection)
        case .proxyRecord(let seen): records[seen.connection, default: []].append(seen)
        case .proxyClosed(let connection): closed.insert(connection)
        }
    }

    package mutating func addLoss(_ count: Int) { lostMessages += count }

    /// The tuple and what the node's translation may have made of it.
    private func forms(of tuple: FiveTuple) -> [FiveTuple] {
        guard let targets = translations[tuple.destination] else { return [tuple] }
        return [tuple]
            + targets.sorted().map { FiveTuple(tuple.transport, from: tuple.source, to: $0) }
    }

    /// The hop that begins with `tuple`, with everything that followed from it. Only what was seen at or after
    /// `sinceMs` counts: ports are used again.
    package func hop(for tuple: FiveTuple, sinceMs: Double) -> Hop { hop(for: tuple, sinceMs: sinceMs, depth: 0) }

    private func hop(for tuple: FiveTuple, sinceMs: Double, depth: Int) -> Hop {
        var hop = Hop(tuple: tuple, isOutbound: isOutside(tuple.destination.address))
        for form in forms(of: tuple) {
            hop.packets += (packets[form] ?? []).filter { $0.timeMs >= sinceMs }
            hop.drops += (drops[form] ?? []).filter { $0.timeMs >= sinceMs }
            hop.served += (served[form] ?? []).filter { $0.timeMs >= sinceMs }
            hop.names += (names[form] ?? []).filter { $0.timeMs >= sinceMs }
            // A chain longer than any mesh's is a loop; what lies beyond it would repeat.
            guard depth < 8 else { continue }
            for acceptance in accepted[form] ?? [] where acceptance.timeMs >= sinceMs {
                let connection = acceptance.connection
                var seen: Set<FiveTuple> = []
                let upstream = (connecting[connection] ?? []).filter { seen.insert($0.tuple).inserted }
                hop.proxied.append(
                    ProxiedHop(
                        connection: connection, accepted: acceptance, records: records[connection] ?? [],
                        isClosed: closed.contains(connection),
                        upstream: upstream.map {
                            // A pooled upstream connection is older than the request that uses it.
                            self.hop(
                                for: $0.tuple, sinceMs: min(sinceMs, oldestUse(of: $0.tuple) ?? sinceMs),
                                depth: depth + 1)
                        }))
            }
        }
        return hop
    }

    private func oldestUse(of tuple: FiveTuple) -> Double? {
        (downstreams[tuple] ?? []).lazy.flatMap { connecting[$0] ?? [] }.filter { $0.tuple == tuple }
            .map(\.timeMs).min()
    }

    /// The tuples at the beginning of chains that `tuple` belongs to: itself, and what proxies made it from.
    package func roots(of tuple: FiveTuple) -> Set<FiveTuple> {
        var roots: Set<FiveTuple> = []
        var pending = [tuple]
        while let next = pending.popLast() {
            guard roots.insert(next).inserted, roots.count < 64 else { continue }
            for connection in downstreams[next] ?? [] {
                if let downstream = acceptedTuples[connection] { pending.append(downstream) }
            }
        }
        return roots
    }

    package func isOutside(_ address: IPAddress) -> Bool {
        !clusterRanges.contains(address) && !address.isLoopback && !address.isLinkLocal && !address.isMulticast
    }
}
