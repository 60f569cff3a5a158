import Manifests
import NetworkAddresses

/// Evaluates policies as their specifications are worded, packet by packet; shares nothing with what compiles them.
///
/// Selectors are asked of every kind of pod once, in `init`; all else is asked of each packet.
package struct PolicyOracle: Sendable {
    private let members: [IPAddress: PolicyMember]
    /// For each kind of pod, the policies that isolate it.
    private let isolating: [NetworkPolicy.Direction: [[PreparedNetworkPolicy]]]
    /// The policies of a tier by ascending priority; those of one priority by name.
    private let tiers: [ClusterPolicy.Tier: [[PreparedClusterPolicy]]]
    private var learnt: Set<PolicyWorld.LearntAddress>

    package init(_ world: PolicyWorld) {
        var places: [PodKind: Int] = [:]
        var selectors = PolicySelectors(kinds: [], namespaceLabels: [], nodes: world.nodes)
        let nodes = Dictionary(world.nodes.map { ($0.name, $0.addresses) }) { $0 + $1 }
        var members: [IPAddress: PolicyMember] = [:]
        for pod in world.pods {
            let kind = PodKind(namespace: pod.namespace, labels: pod.labels)
            if places[kind] == nil {
                places[kind] = selectors.kinds.count
                selectors.kinds.append(kind)
                // Every namespace has its name for a label.
                let own = ["kubernetes.io/metadata.name": pod.namespace]
                selectors.namespaceLabels.append(
                    (world.namespaces[pod.namespace] ?? [:]).merging(own) { own, _ in own })
            }
            let member = PolicyMember(pod, kind: places[kind] ?? 0, node: nodes[pod.node] ?? [])
            for address in pod.addresses where members[address] == nil { members[address] = member }
        }
        self.members = members
        learnt = world.learnt

        let policies = Dictionary(
            grouping: world.networkPolicies.map { PreparedNetworkPolicy($0, selectors) },
            by: \.policy.metadata.namespace)
        var isolating: [NetworkPolicy.Direction: [[PreparedNetworkPolicy]]] = [:]
        for direction in [NetworkPolicy.Direction.ingress, .egress] {
            isolating[direction] = selectors.kinds.map { kind in
                policies[kind.namespace, default: []].filter {
                    $0.policy.policyTypes.contains(direction) && $0.policy.podSelector.holds(kind.labels)
                }
            }
        }
        self.isolating = isolating

        let ranked = world.clusterPolicies.sorted {
            $0.priority != $1.priority
                ? $0.priority < $1.priority
                : $0.metadata.name.unicodeScalars.lexicographicallyPrecedes($1.metadata.name.unicodeScalars)
        }
        tiers = Dictionary(grouping: ranked.map { PreparedClusterPolicy($0, selectors) }, by: \.policy.tier).mapValues {
            $0.reduce(into: []) { groups, policy in
                if let last = groups.indices.last, groups[last].first?.policy.priority == policy.policy.priority {
                    groups[last].append(policy)
                } else {
                    groups.append([policy])
                }
            }
        }
    }

    /// The same oracle at another time: what pods have learnt by lookups then.
    package func knowing(_ learnt: Set<PolicyWorld.LearntAddress>) -> PolicyOracle {
        var other = self
        other.learnt = learnt
        return other
    }

    /// What becomes of a packet that opens a flow.
    package func judge(_ packet: PolicyPacket) -> PolicyPrediction {
        let source = members[packet.source]
        let arrival =
            packet.arrival ?? PolicyPacket.Arrival(source: packet.source, destination: packet.destination)
        let destination = members[arrival.destination.address]
        func always(_ cause: PolicyReason.Cause) -> PolicyPrediction {
            PolicyPrediction(
                isAllowed: true, reasons: [PolicyReason(cause: cause, pod: nil, direction: .egress)], ambiguous: [])
        }
        if let source, source === destination, !packet.isTranslated { return always(.isItself) }
        // The node is asked nothing about what it sends to its own pods.
        if source == nil, let destination, destination.node.contains(arrival.source) { return always(.isFromNode) }
        var result = PolicyPrediction(isAllowed: true, reasons: [], ambiguous: [])
        // Whether any order of equal priorities would let it through, and whether any would not.
        var (mayPass, mayFail) = (true, false)
        for (pod, direction) in [(source, NetworkPolicy.Direction.egress), (destination, .ingress)] {
            guard let pod else { continue }
            let isLeaving = direction == .egress
            let peer = isLeaving ? packet.destination.address : arrival.source
            let seen = isLeaving ? packet.destination : arrival.destination
            let question = Question(
                transport: packet.transport, seen: seen, pod: pod, direction: direction,
                destination: members[seen.address], peer: peer, other: members[peer])
            let decision = decide(question)
            if result.isAllowed {
                result.reasons.append(PolicyReason(cause: decision.cause, pod: pod, direction: direction))
            }
            result.isAllowed = result.isAllowed && decision.isAllowed
            result.ambiguous += decision.rivals
            mayPass = mayPass && decision.mayPass
            mayFail = mayFail || decision.mayFail
        }
        if !(mayPass && mayFail) { result.ambiguous = [] }
        return result
    }

    // MARK: Tiers

    /// One direction of one pod.
    private struct Question {
        var transport: IPProtocol
        /// The destination, as the pod's node sees it.
        var seen: IPEndpoint
        var pod: PolicyMember
        var direction: NetworkPolicy.Direction
        var destination: PolicyMember?
        /// The other end, and the pod that it is.
        var peer: IPAddress
        var other: PolicyMember?
    }

    private struct Decision {
        var isAllowed: Bool
        var cause: PolicyReason.Cause
        /// What other orders of equal priorities could make of it.
        var mayPass: Bool
        var mayFail: Bool
        var rivals: [String] = []

        init(_ isAllowed: Bool, _ cause: PolicyReason.Cause) {
            self.isAllowed = isAllowed
            self.cause = cause
            (mayPass, mayFail) = (isAllowed, !isAllowed)
        }
    }

    private func decide(_ question: Question) -> Decision {
        ask(.admin, question) {
            if let decision = askNetworkPolicies(question) { return decision }
            return ask(.baseline, question) { Decision(true, .undecided) }
        }
    }

    /// A policy's first rule that matches.
    private struct Match {
        var policy: PreparedClusterPolicy
        var action: ClusterPolicy.Action
        var rule: Int
    }

    /// Goes through a tier by ascending priority; `next` is what follows where it does not decide.
    private func ask(_ tier: ClusterPolicy.Tier, _ question: Question, next: () -> Decision) -> Decision {
        for group in tiers[tier] ?? [] {
            let matches = group.compactMap { firstMatch($0, question) }
            guard let first = matches.first else { continue }
            let decisions = matches.map { conclude($0, next) }
            var result = decisions[0]
            result.mayPass = decisions.contains(where: \.mayPass)
            result.mayFail = decisions.contains(where: \.mayFail)
            let others = matches.dropFirst().filter { $0.action != first.action }
            if !others.isEmpty { result.rivals += ([first] + others).map(\.policy.name) }
            return result
        }
        return next()
    }

    private func conclude(_ match: Match, _ next: () -> Decision) -> Decision {
        switch match.action {
        case .accept: Decision(true, .accepted(match.policy, rule: match.rule))
        case .deny: Decision(false, .denied(match.policy, rule: match.rule))
        case .pass: next()
        }
    }

    private func firstMatch(_ policy: PreparedClusterPolicy, _ question: Question) -> Match? {
        guard policy.subject[question.pod.kind] else { return nil }
        for (number, rule) in policy.rules(question.direction).enumerated()
        where matches(rule, of: policy, question) {
            return Match(policy: policy, action: rule.action, rule: number)
        }
        return nil
    }

    // MARK: Rules of cluster-wide policies

    private func matches(
        _ rule: PreparedClusterPolicy.Rule, of policy: PreparedClusterPolicy, _ question: Question
    ) -> Bool {
        guard
            rule.peers.holdsPod(question.other) || rule.peers.nodes.contains(question.peer)
                || rule.peers.holdsAddress(question.peer) || isLearnt(question.peer, rule.peers.names, policy)
        else { return false }
        guard let ports = rule.ports else { return true }
        return ports.contains { port in
            switch port {
            case .range(let transport, let range):
                return question.transport == transport && range.holds(question.seen.port)
            case .named(let name): return isNamed(name, nil, question)
            }
        }
    }

    private func isLearnt(
        _ address: IPAddress, _ patterns: [DomainPattern], _ policy: PreparedClusterPolicy
    ) -> Bool {
        guard !patterns.isEmpty else { return false }
        return learnt.contains { learnt in
            learnt.address == address && patterns.contains { $0.matches(learnt.name) }
                && (members[learnt.pod].map { policy.subject[$0.kind] } ?? false)
        }
    }

    // MARK: NetworkPolicies

    /// nil where no NetworkPolicy isolates the pod in this direction.
    private func askNetworkPolicies(_ question: Question) -> Decision? {
        guard let isolating = isolating[question.direction]?[question.pod.kind], !isolating.isEmpty else { return nil }
        if question.pod.pod.addresses.contains(question.peer) { return Decision(true, .reachesItself) }
        if question.pod.node.contains(question.peer) { return Decision(true, .reachesNode) }
        for policy in isolating {
            for (number, rule) in policy.rules(question.direction).enumerated() where matches(rule, question) {
                return Decision(true, .allowed(policy, rule: number))
            }
        }
        return Decision(false, .isolated(isolating))
    }

    private func matches(_ rule: PreparedNetworkPolicy.Rule, _ question: Question) -> Bool {
        // A named port of egress belongs to pods, so a block of addresses that holds one does not help.
        let byPods = rule.peers.map { $0.holdsPod(question.other) } ?? true
        guard byPods || (rule.peers.map { $0.holdsAddress(question.peer) } ?? true) else { return false }
        guard let ports = rule.ports else { return true }
        return ports.contains { port in
            guard port.transport == question.transport else { return false }
            switch port.number {
            case .all: return true
            case .range(let range): return range.holds(question.seen.port)
            case .named(let name):
                return isNamed(name, port.transport, question) && (byPods || question.direction == .ingress)
            }
        }
    }

    // MARK: Ports

    private func isNamed(_ name: String, _ transport: IPProtocol?, _ question: Question) -> Bool {
        question.destination?.pod.ports.contains {
            $0.name == name && $0.transport == question.transport && $0.number == question.seen.port
                && (transport == nil || transport == $0.transport)
        } ?? false
    }
}

extension PortRange {
    fileprivate func holds(_ port: UInt16) -> Bool { first <= port && port <= last }
}
