import Evidence
import Manifests
import Mesh
import NIOConcurrencyHelpers
import NetworkAddresses
import PolicyOracle

/// Compares what the node did with a flow's packets with what the oracle makes of them.
struct PolicyComparison: Sendable {
    private let world: PolicyWorld
    private let translations: [IPEndpoint: Set<IPEndpoint>]
    /// Everyone with a network of their own.
    private let pods: [IPAddress: PodID]
    private let nodesOfPods: [IPAddress: String]
    private let nodes: [IPAddress: String]
    private let names: LearntNames
    private let hasNames: Bool
    /// Made when it is asked first.
    private let oracle = NIOLockedValueBox<PolicyOracle?>(nil)

    init(plan: LabPlan, names: LearntNames) {
        world = PolicyWorld(plan)
        translations = plan.translations
        pods = Dictionary(
            plan.pods.filter { !$0.pod.spec.hostNetwork }.flatMap { pod in pod.pod.addresses.map { ($0, pod.pod.id) } }
        ) { first, _ in first }
        nodesOfPods = Dictionary(world.pods.flatMap { pod in pod.addresses.map { ($0, pod.node) } }) { first, _ in first
        }
        nodes = Dictionary(world.nodes.flatMap { node in node.addresses.map { ($0, node.name) } }) { first, _ in first }
        self.names = names
        hasNames = !plan.nodes.allSatisfy(\.nameSets.isEmpty)
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
        var arrival: PolicyPacket.Arrival?
        var isDropped: Bool
        var seen: String
        var timeMs: Double
    }

    func compare(_ attempts: [Attempt]) -> Finding {
        guard hasPolicies else { return Finding() }
        var finding = Finding()
        for judged in attempts.flatMap({ packets($0.hop) }) {
            let packet = PolicyPacket(
                transport: judged.tuple.transport, source: judged.tuple.source.address,
                destination: judged.tuple.destination, isTranslated: judged.isTranslated, arrival: judged.arrival)
            let predictions = oracles(at: judged.timeMs...judged.timeMs).map { $0.judge(packet) }
            guard let prediction = predictions.first else { continue }
            for name in prediction.ambiguous where !finding.ambiguous.contains(name) { finding.ambiguous.append(name) }
            // An address may have been forgotten just then.
            guard predictions.allSatisfy({ $0.isAllowed == judged.isDropped }) else { continue }
            let text = Self.text("\(judged.tuple)", judged.isDropped, judged.seen, prediction)
            if !finding.disagreements.contains(text) { finding.disagreements.append(text) }
        }
        return finding
    }

    private var hasPolicies: Bool { !world.networkPolicies.isEmpty || !world.clusterPolicies.isEmpty }

    private static func text(_ what: String, _ isDropped: Bool, _ seen: String, _ prediction: PolicyPrediction)
        -> String
    {
        "\(what): the node \(isDropped ? "dropped it" : "let it pass") (\(seen)), but the policies"
            + " \(prediction.isAllowed ? "allow" : "forbid") it"
            + " (\(prediction.reasons.map(\.description).joined(separator: "; ")))"
    }

    private func oracles(at times: ClosedRange<Double>) -> [PolicyOracle] {
        let oracle = oracle.withLockedValue { oracle in
            let made = oracle ?? PolicyOracle(world)
            oracle = made
            return made
        }
        return hasNames ? names.known(at: times).map { oracle.knowing($0) } : [oracle]
    }

    // MARK: Matrices

    /// A question of a matrix, and what became of its packet at the nodes.
    struct Asked: Sendable {
        var packet: PolicyPacket
        /// The policies' log of the drop; nil: the packet passed them.
        var drop: String?
        /// How reports call the question.
        var name: @Sendable () -> String
    }

    /// For each question what the two see differently, as `compare` of flows; nil where they agree.
    ///
    /// The packets were sent within `times`.
    func compare(_ questions: [Asked], at times: ClosedRange<Double>) -> (
        disagreements: [String?], ambiguous: [String: Int]
    ) {
        guard hasPolicies || questions.contains(where: { $0.drop != nil }) else {
            return (Array(repeating: nil, count: questions.count), [:])
        }
        let oracles = oracles(at: times)
        var ambiguous: [String: Int] = [:]
        let disagreements = questions.map { question -> String? in
            let prediction = oracles[0].judge(question.packet)
            if !prediction.ambiguous.isEmpty {
                ambiguous[prediction.ambiguous.joined(separator: " and "), default: 0] += 1
            }
            let isDropped = question.drop != nil
            guard prediction.isAllowed == isDropped,
                oracles.dropFirst().allSatisfy({ $0.judge(question.packet).isAllowed == isDropped })
            else { return nil }
            return Self.text(question.name(), isDropped, question.drop ?? "it arrived", prediction)
        }
        return (disagreements, ambiguous)
    }

    /// True for an address that is a Service's, which the node translates.
    func isTranslated(_ endpoint: IPEndpoint) -> Bool { translations[endpoint] != nil }

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
        // What Services drop, policies never see.
        let drops = hop.drops.filter { $0.by == .networkPolicy && !$0.isTranslation }
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
        let destination = targets.isEmpty ? hop.tuple.destination : arrival.tuple.destination
        // Whoever calls a Service from elsewhere may have got the node's address on the way.
        guard targets.isEmpty || targets.contains(destination) && pods[source] != nil else { return [] }
        let way = targets.isEmpty ? nil : way(hop.tuple, to: arrival.tuple)
        return [
            Judged(
                tuple: FiveTuple(hop.tuple.transport, from: hop.tuple.source, to: way?.seen ?? destination),
                isTranslated: !targets.isEmpty, arrival: way?.arrival, isDropped: false, seen: arrival.place,
                timeMs: arrival.timeMs)
        ]
    }

    /// What the nodes saw of a pod's call to a Service. A port of another node is translated there; and a node that leads
    /// a call on to another node may put its own address in the caller's place.
    private func way(
        _ asked: FiveTuple, to arrived: FiveTuple
    ) -> (seen: IPEndpoint, arrival: PolicyPacket.Arrival) {
        let own = nodesOfPods[asked.source.address]
        let translating = nodes[asked.destination.address] ?? own
        let isMasqueraded = translating != nodesOfPods[arrived.destination.address]
        return (
            translating == own ? arrived.destination : asked.destination,
            PolicyPacket.Arrival(
                source: isMasqueraded ? arrived.source.address : asked.source.address,
                destination: arrived.destination)
        )
    }

    private func isKnown(_ address: IPAddress) -> Bool { pods[address] != nil || nodes[address] != nil }

    /// Who saw the hop's packets behind the node.
    private func arrivals(_ hop: Hop) -> [(place: String, tuple: FiveTuple, timeMs: Double)] {
        hop.packets.map { ("seen at \($0.place.rawValue)", $0.tuple, $0.timeMs) }
            + hop.served.map { ("it arrived at \($0.at)", $0.tuple, $0.timeMs) }
            + hop.names.map { ("it arrived at \($0.at)", $0.tuple, $0.timeMs) }
            + hop.proxied.map { ("\($0.connection.proxy) took it", $0.accepted.tuple, $0.accepted.timeMs) }
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
