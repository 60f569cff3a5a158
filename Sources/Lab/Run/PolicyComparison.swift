import Evidence
import Manifests
import Mesh
import NetworkAddresses
import PolicyOracle

/// Compares what the node did with a flow's packets with what the oracle makes of them.
struct PolicyComparison: Sendable {
    private let world: PolicyWorld
    private let translations: [IPEndpoint: Set<IPEndpoint>]
    /// Everyone with a network of their own.
    private let pods: [IPAddress: PodID]
    private let nodes: Set<IPAddress>
    private let names: LearntNames
    /// For as long as no rule speaks of names.
    private let oracle: PolicyOracle?

    init(plan: LabPlan, names: LearntNames) {
        world = PolicyWorld(plan)
        translations = plan.translations
        pods = Dictionary(
            plan.pods.filter { !$0.pod.spec.hostNetwork }.flatMap { pod in pod.pod.addresses.map { ($0, pod.pod.id) } }
        ) { first, _ in first }
        nodes = Set(world.nodes.flatMap(\.addresses))
        self.names = names
        oracle = plan.nodes.allSatisfy(\.nameSets.isEmpty) ? PolicyOracle(world) : nil
    }

    /// What the two see differently, and policies whose order nothing defines although it matters.
    struct Finding: Sendable, Equatable {
        var disagreements: [String] = []
        var ambiguous: [String] = []
    }

    /// A packet that came to the node, and what became of it there.
    private struct Judged {
        var tuple: FiveTuple
        var isTranslated: Bool
        var isDropped: Bool
        var seen: String
        var timeMs: Double
    }

    func compare(_ attempts: [Attempt]) -> Finding {
        guard !world.networkPolicies.isEmpty || !world.clusterPolicies.isEmpty else { return Finding() }
        var finding = Finding()
        for judged in attempts.flatMap({ packets($0.hop) }) {
            let packet = PolicyPacket(
                transport: judged.tuple.transport, source: judged.tuple.source.address,
                destination: judged.tuple.destination, isTranslated: judged.isTranslated)
            let predictions = oracles(at: judged.timeMs).map { $0.judge(packet) }
            guard let prediction = predictions.first else { continue }
            for name in prediction.ambiguous where !finding.ambiguous.contains(name) { finding.ambiguous.append(name) }
            // An address may have been forgotten just then.
            guard predictions.allSatisfy({ $0.isAllowed == judged.isDropped }) else { continue }
            let text =
                "\(judged.tuple): the node \(judged.isDropped ? "dropped it" : "let it pass") (\(judged.seen)), but the"
                + " policies \(prediction.isAllowed ? "allow" : "forbid") it (\(prediction.reasons.joined(separator: "; ")))"
            if !finding.disagreements.contains(text) { finding.disagreements.append(text) }
        }
        return finding
    }

    private func oracles(at timeMs: Double) -> [PolicyOracle] {
        if let oracle { return [oracle] }
        return names.worlds(world, at: timeMs).map { PolicyOracle($0) }
    }

    // MARK: What came to the node

    private func packets(_ hop: Hop) -> [Judged] {
        hop.proxied.flatMap { ($0.lookups + $0.upstream).flatMap(packets) }
            + (hop.agent.map { $0.asked.flatMap(packets) } ?? []) + judged(hop)
    }

    private func judged(_ hop: Hop) -> [Judged] {
        let source = hop.tuple.source.address
        // What a proxy or an agent takes up beside its client never leaves the pod.
        guard hop.agent == nil, isKnown(source) || !hop.isOutbound,
            !hop.proxied.contains(where: { $0.connection.pod == pods[source]?.description })
        else { return [] }
        let drops = hop.drops.filter { $0.by == .networkPolicy }
        let arrivals = arrivals(hop)
        // A packet that was dropped and one that passed: something changed between them.
        guard drops.isEmpty || arrivals.isEmpty else { return [] }
        if let drop = drops.first {
            let isTranslated = drop.tuple.destination != hop.tuple.destination
            return [
                Judged(
                    tuple: drop.tuple, isTranslated: isTranslated, isDropped: true,
                    seen: "\(drop.direction) of \(drop.pod): \(drop.policies.joined(separator: "; "))",
                    timeMs: drop.timeMs)
            ]
        }
        guard let arrival = arrivals.first else { return [] }
        let targets = translations[hop.tuple.destination] ?? []
        let destination = targets.isEmpty ? hop.tuple.destination : arrival.destination
        // Whoever calls a Service from elsewhere may have got the node's address on the way.
        guard targets.isEmpty || targets.contains(destination) && pods[source] != nil else { return [] }
        return [
            Judged(
                tuple: FiveTuple(hop.tuple.transport, from: hop.tuple.source, to: destination),
                isTranslated: !targets.isEmpty, isDropped: false, seen: arrival.place, timeMs: arrival.timeMs)
        ]
    }

    private func isKnown(_ address: IPAddress) -> Bool { pods[address] != nil || nodes.contains(address) }

    /// Who saw the hop's packets behind the node; the destination where it was told.
    private func arrivals(_ hop: Hop) -> [(place: String, destination: IPEndpoint, timeMs: Double)] {
        hop.packets.map { ("seen at \($0.place.rawValue)", $0.tuple.destination, $0.timeMs) }
            + hop.served.map { ("it arrived at \($0.at)", $0.tuple.destination, $0.timeMs) }
            + hop.names.map { ("it arrived at \($0.at)", $0.tuple.destination, $0.timeMs) }
            + hop.proxied.map {
                ("\($0.connection.proxy) took it", $0.accepted.tuple.destination, $0.accepted.timeMs)
            }
    }
}

extension PolicyWorld {
    /// A plan's cluster.
    init(_ plan: LabPlan) {
        self.init(
            namespaces: plan.namespaces,
            pods: plan.pods.map(\.pod).filter { !$0.spec.hostNetwork }.map { pod in
                let containers = pod.spec.containers + pod.spec.initContainers.filter(\.isNativeSidecar)
                return Pod(
                    namespace: pod.id.namespace, name: pod.id.name, labels: pod.labels, addresses: pod.addresses,
                    ports: containers.flatMap(\.ports).compactMap { port in
                        port.name.map { .init(name: $0, transport: port.transport, number: port.number) }
                    }, node: pod.node)
            },
            nodes: plan.clusterNodes.map { Node(name: $0.name, labels: $0.labels, addresses: $0.addresses) },
            networkPolicies: plan.policies.networkPolicies, clusterPolicies: plan.policies.clusterPolicies)
    }
}
