import Manifests
import NetworkAddresses

/// Evaluates policies as their specifications are worded, packet by packet; shares nothing with what compiles them.
package struct PolicyOracle: Sendable {
    private let world: PolicyWorld
    private let pods: [IPAddress: PolicyWorld.Pod]

    package init(_ world: PolicyWorld) {
        self.world = world
        pods = Dictionary(world.pods.flatMap { pod in pod.addresses.map { ($0, pod) } }) { first, _ in first }
    }

    /// What becomes of a packet that opens a flow.
    package func judge(_ packet: PolicyPacket) -> PolicyPrediction {
        let source = pod(at: packet.source)
        let destination = pod(at: packet.destination.address)
        if let source, source == destination, !packet.isTranslated {
            return PolicyPrediction(isAllowed: true, reasons: ["a pod always reaches itself"], ambiguous: [])
        }
        // The node is asked nothing about what it sends to its own pods.
        if let destination, isOwnNode(packet.source, of: destination) {
            return PolicyPrediction(isAllowed: true, reasons: ["a node always reaches its own pods"], ambiguous: [])
        }
        var result = PolicyPrediction(isAllowed: true, reasons: [], ambiguous: [])
        // Whether any order of equal priorities would let it through, and whether any would not.
        var (mayPass, mayFail) = (true, false)
        for (pod, direction) in [(source, NetworkPolicy.Direction.egress), (destination, .ingress)] {
            guard let pod else { continue }
            let decision = decide(Question(packet: packet, pod: pod, direction: direction, destination: destination))
            if result.isAllowed { result.reasons.append(decision.reason) }
            result.isAllowed = result.isAllowed && decision.isAllowed
            result.ambiguous += decision.rivals
            mayPass = mayPass && decision.outcomes.contains(true)
            mayFail = mayFail || decision.outcomes.contains(false)
        }
        if !(mayPass && mayFail) { result.ambiguous = [] }
        return result
    }

    // MARK: Tiers

    /// One direction of one pod.
    private struct Question {
        var packet: PolicyPacket
        var pod: PolicyWorld.Pod
        var direction: NetworkPolicy.Direction
        var destination: PolicyWorld.Pod?

        var peer: IPAddress { direction == .egress ? packet.destination.address : packet.source }
        var name: String { "\(direction.rawValue.lowercased()) of \(pod.namespace)/\(pod.name)" }
    }

    private struct Decision {
        var isAllowed: Bool
        var reason: String
        /// What other orders of equal priorities could make of it.
        var outcomes: Set<Bool>
        var rivals: [String] = []
    }

    private func decide(_ question: Question) -> Decision {
        ask(.admin, question) {
            if let decision = askNetworkPolicies(question) { return decision }
            return ask(.baseline, question) {
                Decision(isAllowed: true, reason: "\(question.name): no policy decides", outcomes: [true])
            }
        }
    }

    /// A policy's first rule that matches.
    private struct Match {
        var policy: ClusterPolicy
        var action: ClusterPolicy.Action
        var rule: Int
    }

    /// Goes through a tier by ascending priority; `next` is what follows where it does not decide.
    private func ask(_ tier: ClusterPolicy.Tier, _ question: Question, next: () -> Decision) -> Decision {
        let priorities = Set(world.clusterPolicies.filter { $0.tier == tier }.map(\.priority)).sorted()
        for priority in priorities {
            let matches =
                world.clusterPolicies.filter { $0.tier == tier && $0.priority == priority }
                .sorted { $0.metadata.name.unicodeScalars.lexicographicallyPrecedes($1.metadata.name.unicodeScalars) }
                .compactMap { firstMatch($0, question) }
            guard let first = matches.first else { continue }
            let decisions = matches.map { conclude($0, question, next) }
            var result = decisions[0]
            result.outcomes = decisions.reduce(into: []) { $0.formUnion($1.outcomes) }
            let actions = Set(matches.map(\.action))
            if actions.count > 1 {
                let others = matches.dropFirst().filter { $0.action != first.action }
                result.rivals += ([first] + others).map {
                    "\($0.policy.policyKind.rawValue) \($0.policy.metadata.name)"
                }
            }
            return result
        }
        return next()
    }

    private func conclude(_ match: Match, _ question: Question, _ next: () -> Decision) -> Decision {
        let origin = match.policy.origin(question.direction, rule: match.rule)
        switch match.action {
        case .accept:
            return Decision(isAllowed: true, reason: "\(question.name): accepted by \(origin)", outcomes: [true])
        case .deny:
            return Decision(isAllowed: false, reason: "\(question.name): denied by \(origin)", outcomes: [false])
        case .pass: return next()
        }
    }

    private func firstMatch(_ policy: ClusterPolicy, _ question: Question) -> Match? {
        guard selects(policy.subject, question.pod) else { return nil }
        for (number, rule) in policy.rules(question.direction).enumerated()
        where matches(rule, of: policy, question) {
            return Match(policy: policy, action: rule.action, rule: number)
        }
        return nil
    }

    // MARK: Rules of cluster-wide policies

    private func matches(_ rule: ClusterPolicy.Rule, of policy: ClusterPolicy, _ question: Question) -> Bool {
        let isPeer = rule.peers.contains { peer in
            switch peer {
            case .pods(let pods): return pod(at: question.peer).map { selects(pods, $0) } ?? false
            case .nodes(let selector):
                return world.nodes.contains {
                    holds(selector, $0.labels) && $0.addresses.contains(question.peer)
                }
            case .networks(let networks): return networks.contains { $0.contains(question.peer) }
            case .domainNames(let patterns): return isLearnt(question.peer, patterns, policy.subject)
            }
        }
        guard isPeer else { return false }
        guard let ports = rule.ports else { return true }
        return ports.contains { port in
            switch port {
            case .range(let transport, let range):
                return question.packet.transport == transport && range.holds(question.packet.destination.port)
            case .named(let name): return isNamed(name, nil, question)
            }
        }
    }

    private func isLearnt(_ address: IPAddress, _ patterns: [DomainPattern], _ subject: ClusterPolicy.Pods) -> Bool {
        world.learnt.contains { learnt in
            learnt.address == address && patterns.contains { $0.matches(learnt.name) }
                && (pod(at: learnt.pod).map { selects(subject, $0) } ?? false)
        }
    }

    // MARK: NetworkPolicies

    /// nil where no NetworkPolicy isolates the pod in this direction.
    private func askNetworkPolicies(_ question: Question) -> Decision? {
        let isolating = world.networkPolicies.filter { policy in
            policy.metadata.namespace == question.pod.namespace && policy.policyTypes.contains(question.direction)
                && holds(policy.podSelector, question.pod.labels)
        }
        guard !isolating.isEmpty else { return nil }
        func allowed(_ why: String) -> Decision {
            Decision(isAllowed: true, reason: "\(question.name): \(why)", outcomes: [true])
        }
        if question.peer == question.pod.addresses.first(where: { $0 == question.peer }) {
            return allowed("a pod always reaches itself")
        }
        if isOwnNode(question.peer, of: question.pod) { return allowed("a pod always reaches its node") }
        for policy in isolating {
            let rules = question.direction == .egress ? policy.egress : policy.ingress
            for rule in rules where matches(rule, of: policy, question) {
                return allowed("allowed by \(policy.origin(at: rule.location))")
            }
        }
        let names = isolating.map { "\($0.metadata.namespace)/\($0.metadata.name)" }.joined(separator: ", ")
        return Decision(
            isAllowed: false, reason: "\(question.name): isolated by NetworkPolicy \(names), and no rule allows it",
            outcomes: [false])
    }

    private func matches(_ rule: NetworkPolicy.Rule, of policy: NetworkPolicy, _ question: Question) -> Bool {
        // A named port of egress belongs to pods, so a block of addresses that holds one does not help.
        let byPods = rule.peers.map { $0.contains { isPeer($0, of: policy, question, blocks: false) } } ?? true
        let byBlocks = rule.peers.map { $0.contains { isPeer($0, of: policy, question, blocks: true) } } ?? true
        guard byPods || byBlocks else { return false }
        guard let ports = rule.ports else { return true }
        return ports.contains { port in
            guard port.transport == question.packet.transport else { return false }
            switch port.number {
            case .all: return true
            case .range(let range): return range.holds(question.packet.destination.port)
            case .named(let name):
                return isNamed(name, port.transport, question) && (byPods || question.direction == .ingress)
            }
        }
    }

    private func isPeer(
        _ peer: NetworkPolicy.Peer, of policy: NetworkPolicy, _ question: Question, blocks: Bool
    ) -> Bool {
        switch peer {
        case .pods(let namespaces, let pods):
            guard !blocks, let other = pod(at: question.peer) else { return false }
            let isInNamespace =
                namespaces.map { holds($0, labels(ofNamespace: other.namespace)) }
                ?? (other.namespace == policy.metadata.namespace)
            return isInNamespace && (pods.map { holds($0, other.labels) } ?? true)
        case .ipBlock(let block, let except):
            return blocks && block.contains(question.peer) && !except.contains { $0.contains(question.peer) }
        }
    }

    // MARK: Who is who

    private func pod(at address: IPAddress) -> PolicyWorld.Pod? { pods[address] }

    private func isOwnNode(_ address: IPAddress, of pod: PolicyWorld.Pod) -> Bool {
        world.nodes.contains { $0.name == pod.node && $0.addresses.contains(address) }
    }

    private func selects(_ pods: ClusterPolicy.Pods, _ pod: PolicyWorld.Pod) -> Bool {
        holds(pods.namespaces, labels(ofNamespace: pod.namespace)) && (pods.pods.map { holds($0, pod.labels) } ?? true)
    }

    /// Every namespace has its name for a label.
    private func labels(ofNamespace name: String) -> [String: String] {
        (world.namespaces[name] ?? [:]).merging(["kubernetes.io/metadata.name": name]) { own, _ in own }
    }

    private func isNamed(_ name: String, _ transport: IPProtocol?, _ question: Question) -> Bool {
        let (packet, pod) = (question.packet, question.destination)
        return pod?.ports.contains {
            $0.name == name && $0.transport == packet.transport && $0.number == packet.destination.port
                && (transport == nil || transport == $0.transport)
        } ?? false
    }

    private func holds(_ selector: LabelSelector, _ labels: [String: String]) -> Bool {
        for (key, value) in selector.matchLabels where labels[key] != value { return false }
        for requirement in selector.matchExpressions {
            let value = labels[requirement.key]
            let isListed = value.map { value in requirement.values.contains { $0 == value } } ?? false
            switch requirement.operator {
            case .in: if !isListed { return false }
            case .notIn: if isListed { return false }
            case .exists: if value == nil { return false }
            case .doesNotExist: if value != nil { return false }
            }
        }
        return true
    }
}

extension PortRange {
    fileprivate func holds(_ port: UInt16) -> Bool { first <= port && port <= last }
}
