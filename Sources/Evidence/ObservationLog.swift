package import NetworkAddresses

/// All observations of a lab, indexed by the tuples that they are about. A value: whoever shares it guards it.
package struct ObservationLog: Sendable {
    /// What the node's Service translation may turn a destination into.
    package var translations: [IPEndpoint: Set<IPEndpoint>] = [:]
    /// The addresses inside the cluster.
    package var clusterRanges: IPPrefixSet
    /// What a pod that calls itself through a Service seems to call from.
    package var nodeAddresses: [IPAddress]
    /// Proxies tell of a connection before they use it, and not when it is over.
    private let usesComeFirst: Bool

    private var packets: [FiveTuple: [PacketSeen]] = [:]
    private var drops: [FiveTuple: [DropSeen]] = [:]
    private var served: [FiveTuple: [Served]] = [:]
    private var names: [FiveTuple: [NameServed]] = [:]
    /// By the client's socket.
    private var agents: [SocketKey: [AgentSeen]] = [:]
    private var accepted: [FiveTuple: [ProxyAccepted]] = [:]
    private var connecting: [ProxyConnection: [ProxyConnecting]] = [:]
    /// By pod and host, the latest.
    private var lookups: [String: [String: ProxyLookup]] = [:]
    private var records: [ProxyConnection: [ProxyRecord]] = [:]
    private var closed: Set<ProxyConnection> = []
    /// Connections that proxies have accepted and not closed.
    package private(set) var open: Set<ProxyConnection> = []
    /// Whose upstream a socket is: leads from a drop back to the flows it ends.
    private var upstreamUses: [SocketKey: [ProxyConnecting]] = [:]
    private var acceptedTuples: [ProxyConnection: FiveTuple] = [:]
    /// Messages that the kernel could not deliver.
    package private(set) var lostMessages = 0

    package init(clusterRanges: IPPrefixSet, nodeAddresses: [IPAddress] = [], usesComeFirst: Bool = false) {
        self.clusterRanges = clusterRanges
        self.nodeAddresses = nodeAddresses
        self.usesComeFirst = usesComeFirst
    }

    package mutating func add(_ observation: Observation) {
        switch observation {
        case .packet(let seen): packets[seen.tuple, default: []].append(seen)
        case .drop(let seen): drops[seen.tuple, default: []].append(seen)
        case .served(let seen): served[seen.tuple, default: []].append(seen)
        case .nameServed(let seen): names[seen.tuple, default: []].append(seen)
        case .agent(let seen): agents[SocketKey(seen.tuple), default: []].append(seen)
        case .proxyAccepted(let seen):
            accepted[seen.tuple, default: []].append(seen)
            acceptedTuples[seen.connection] = seen.tuple
            open.insert(seen.connection)
        case .proxyConnecting(let seen):
            connecting[seen.connection, default: []].append(seen)
            upstreamUses[SocketKey(seen.tuple), default: []].append(seen)
        case .proxyLookup(let seen): lookups[seen.pod, default: [:]][seen.host.lowercased()] = seen
        case .proxyRecord(let seen): records[seen.connection, default: []].append(seen)
        case .proxyClosed(let connection):
            closed.insert(connection)
            open.remove(connection)
        }
    }

    package mutating func addLoss(_ count: Int) { lostMessages += count }

    /// The tuple and what the node's translation may have made of it.
    private func forms(of tuple: FiveTuple) -> [FiveTuple] {
        guard let targets = translations[tuple.destination] else { return [tuple] }
        return [tuple]
            + targets.sorted().flatMap { target -> [FiveTuple] in
                // On the way back to the caller, and for calls to node ports and load balancers, the node puts its own
                // address in the place of the source's; the port stays.
                let sources = nodeAddresses.filter { $0.family == target.address.family }
                return ([tuple.source.address] + sources).map {
                    FiveTuple(tuple.transport, from: IPEndpoint($0, tuple.source.port), to: target)
                }
            }
    }

    /// The hop that begins with `tuple`, with everything that followed from it. Only what was seen at or after
    /// `sinceMs` counts: ports are used again.
    package func hop(for tuple: FiveTuple, sinceMs: Double) -> Hop {
        let part = FlowPart(beganMs: sinceMs, usesComeFirst: usesComeFirst)
        return hop(for: tuple, sinceMs: sinceMs, part: part, depth: 0, in: nil)
    }

    /// What a flow may have of connections that it shares with others.
    private struct FlowPart {
        /// Nothing that a connection carried before is the flow's, however old the connection is.
        let beganMs: Double
        let usesComeFirst: Bool
        /// The `x-request-id`s of the flow, once a proxy has given it one.
        var requests: Set<String> = []
        /// The proxy's connection that is the flow's, on the way to the hop.
        var owner: ProxyConnection?

        /// True for what carries one of the ids. Without one on either side time alone can tell.
        func contains(_ id: String?, at timeMs: Double) -> Bool {
            guard let id, !requests.isEmpty else { return timeMs >= beganMs }
            return requests.contains(id)
        }

        /// True for what belongs to the connection as a whole, and for the flow's own requests on it.
        ///
        /// - Parameter uses: who took the connection, in the order of time.
        func contains(_ served: Served, uses: [ProxyConnecting]) -> Bool {
            switch served.stage {
            case .accepted, .clientHello, .closed: return true
            case .request, .data: break
            }
            let id = served.fields["x-request-id"]
            guard contains(id, at: served.timeMs) else { return false }
            if id != nil, !requests.isEmpty { return true }
            // Proxies that tell of a use later, when it is over, have one flow at a time.
            let last = uses.last { (usesComeFirst || $0.timeMs >= beganMs) && $0.timeMs <= served.timeMs }
            return owner == nil || last == nil || last?.connection == owner
        }
    }

    /// - Parameters:
    ///   - pod: whose proxy made the connection: each pod has a loopback of its own.
    ///   - explanation: the flags by which that proxy's log says what became of it.
    private func hop(
        for tuple: FiveTuple, sinceMs: Double, part: FlowPart, depth: Int, in pod: String?,
        explanation: Set<String> = []
    ) -> Hop {
        var hop = Hop(tuple: tuple, isOutbound: isOutside(tuple.destination.address))
        hop.agent = agent(behind: tuple, sinceMs: sinceMs)
        let taken = (upstreamUses[SocketKey(tuple)] ?? []).filter { $0.tuple == tuple }
        for form in forms(of: tuple) {
            hop.packets += (packets[form] ?? []).filter { $0.timeMs >= sinceMs }
            // A Service may lead outside.
            if hop.packets.contains(where: { isOutside($0.tuple.destination.address) }) { hop.isOutbound = true }
            hop.drops += (drops[form] ?? []).filter { $0.timeMs >= sinceMs }
            hop.served += (served[form] ?? []).filter { $0.timeMs >= sinceMs && part.contains($0, uses: taken) }
            hop.names += (names[form] ?? []).filter { $0.timeMs >= sinceMs }
            // A chain longer than any mesh's is a loop; what lies beyond it would repeat.
            guard depth < 8 else { continue }
            for acceptance in accepted[form] ?? [] where acceptance.timeMs >= sinceMs {
                let connection = acceptance.connection
                if let pod, form.destination.address.isLoopback, connection.pod != pod { continue }
                let records = (self.records[connection] ?? []).filter {
                    part.contains($0.fields["request_id"], at: $0.timeMs)
                }
                let uses = uses(by: connection, of: part)
                // A connection that never got past its handshake: only one of the data planes tells of it, and the proxy
                // that made it logs what became of it.
                if depth > 0, uses.isEmpty, closed.contains(connection), !explanation.isEmpty || !records.isEmpty,
                    records.allSatisfy({ $0.endedInHandshake || explanation.contains("UF") && $0.foundNoChain })
                {
                    continue
                }
                let explanation = Set(records.flatMap(\.explanation))
                var seen: Set<FiveTuple> = []
                let upstream = uses.filter { seen.insert($0.tuple).inserted }
                var ownPart = part
                ownPart.requests.formUnion(records.compactMap { $0.fields["request_id"] })
                ownPart.requests.formUnion(uses.compactMap(\.request))
                ownPart.owner = connection
                hop.proxied.append(
                    ProxiedHop(
                        connection: connection, accepted: acceptance, records: records,
                        isClosed: closed.contains(connection),
                        upstream: upstream.map {
                            // A pooled upstream connection is older than the request that uses it.
                            self.hop(
                                for: $0.tuple, sinceMs: min(sinceMs, beginning(of: $0)),
                                part: ownPart, depth: depth + 1, in: connection.pod, explanation: explanation)
                        }, lookups: lookups(behind: records, of: connection)))
            }
        }
        return hop
    }

    /// What the connection used for this flow: one that carries requests has upstream connections of others, too.
    private func uses(by connection: ProxyConnection, of part: FlowPart) -> [ProxyConnecting] {
        let isShared = (records[connection] ?? []).contains(where: \.isHTTP)
        return (connecting[connection] ?? []).filter {
            !isShared && $0.request == nil || part.contains($0.request, at: $0.timeMs)
        }
    }

    /// The DNS agent that a client's socket was redirected to, and what became of its own questions.
    private func agent(behind tuple: FiveTuple, sinceMs: Double) -> AgentHop? {
        let seen = (agents[SocketKey(tuple)] ?? []).filter { $0.timeMs >= sinceMs }
        return AgentHop(seen) { question, timeMs in
            var hop = Hop(tuple: question, isOutbound: isOutside(question.destination.address))
            for form in forms(of: question) {
                // The agent tells of the question before it leaves.
                hop.packets += (packets[form] ?? []).filter { $0.timeMs >= timeMs }
                hop.drops += (drops[form] ?? []).filter { $0.timeMs >= timeMs }
                hop.names += (names[form] ?? []).filter { $0.timeMs >= timeMs }
            }
            return hop
        }
    }

    /// What became of the question for the host of a cluster that had none.
    private func lookups(behind records: [ProxyRecord], of connection: ProxyConnection) -> [Hop] {
        records.filter { $0.responseFlags.contains("UH") }.compactMap { record in
            // `outbound|443||edition.cnn.com`; an SNI proxy has no clusters.
            let host =
                record.upstreamCluster?.split(separator: "|").last.map { $0.lowercased() }
                ?? record.fields["requested_server_name"] ?? ""
            return lookups[connection.pod]?[host].map { lookup in
                var hop = Hop(tuple: lookup.tuple, isOutbound: isOutside(lookup.tuple.destination.address))
                for form in forms(of: lookup.tuple) {
                    // The proxy tells of the question before it leaves.
                    hop.drops += (drops[form] ?? []).filter { $0.timeMs >= lookup.timeMs }
                    hop.names += (names[form] ?? []).filter { $0.timeMs >= lookup.timeMs }
                }
                return hop
            }
        }
    }

    /// From when on what was seen of a proxy's connection is its own: an earlier one may have had the same ports.
    private func beginning(of use: ProxyConnecting) -> Double {
        guard use.isReused else { return use.timeMs }
        let uses = (upstreamUses[SocketKey(use.tuple)] ?? [])
            .filter { $0.tuple == use.tuple && $0.timeMs <= use.timeMs }
        guard let made = uses.lastIndex(where: { !$0.isReused }) else { return 0 }
        // The proxy says so after its first packet has left; a port rests for a minute before it is used again.
        let slack = uses[made].timeMs - 1000
        return made > 0 ? max(slack, uses[made - 1].timeMs) : slack
    }

    /// True when proxies have written all that there is to write of connections other than `known`: they are closed, or
    /// kept for further requests.
    package func isSettled(except known: Set<ProxyConnection>) -> Bool {
        open.allSatisfy { known.contains($0) || (records[$0] ?? []).contains(where: \.isHTTP) }
    }

    /// True when a proxy has told of the connection whose first packet had this tuple, seen at `sinceMs`.
    package func isTold(_ tuple: FiveTuple, sinceMs: Double) -> Bool {
        (upstreamUses[SocketKey(tuple)] ?? []).contains { use in
            // A proxy may be heard before the log of its packet is read; a port rests for a minute before it is used
            // again.
            !use.isReused && use.timeMs > sinceMs - 1000 && leads(from: use.tuple.destination, to: tuple.destination)
        }
    }

    /// Where packets for `destination` may arrive: itself, and what the node's translation may make of it.
    package func targets(of destination: IPEndpoint) -> [IPEndpoint] {
        [destination] + (translations[destination]?.sorted() ?? [])
    }

    /// True when a packet for `destination` may have become one for `target` on its way.
    package func leads(from destination: IPEndpoint, to target: IPEndpoint) -> Bool {
        targets(of: destination).contains(target)
    }

    /// Drops of a connection's packets that were seen before the proxy told of the connection.
    package func earlyDrops(of use: ProxyConnecting) -> [DropSeen] {
        guard !use.isReused else { return [] }
        // The proxy says so after its first packet has left; a port rests for a minute before it is used again.
        return forms(of: use.tuple).flatMap { drops[$0] ?? [] }
            .filter { $0.timeMs > use.timeMs - 1000 && $0.timeMs <= use.timeMs }
    }

    /// The sockets at the beginning of the chains that `tuple` belongs to: its own, and those that proxies made it from.
    package func roots(of tuple: FiveTuple) -> Set<SocketKey> {
        var roots: Set<SocketKey> = []
        var pending = [tuple]
        while let next = pending.popLast() {
            // A pooled connection may have served many; 256 are more than one change can concern.
            guard roots.insert(SocketKey(next)).inserted, roots.count < 256 else { continue }
            for use in upstreamUses[SocketKey(next)] ?? []
            where use.tuple.destination == next.destination
                || translations[use.tuple.destination]?.contains(next.destination) == true
            {
                if let downstream = acceptedTuples[use.connection] { pending.append(downstream) }
            }
        }
        return roots
    }

    /// The sockets at the beginning of the chains that a proxy's connection belongs to.
    package func roots(of connection: ProxyConnection) -> Set<SocketKey> {
        acceptedTuples[connection].map { roots(of: $0) } ?? []
    }

    package func isOutside(_ address: IPAddress) -> Bool {
        !clusterRanges.contains(address) && !address.isLoopback && !address.isLinkLocal && !address.isMulticast
    }
}

/// A socket as its own end sees it: what stays the same when a destination is translated on the way.
package struct SocketKey: Hashable, Sendable {
    package var transport: IPProtocol
    package var source: IPEndpoint

    package init(_ tuple: FiveTuple) {
        transport = tuple.transport
        source = tuple.source
    }
}
