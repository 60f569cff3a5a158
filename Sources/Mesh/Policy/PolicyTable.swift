import Manifests
import NetworkAddresses
import Nftables

/// The node's table that judges packets by policies (networkpolicy.md §6, adminnetworkpolicy.md §9).
///
/// Each direction has a base chain of its own, so that one that accepts leaves the other to be asked. It finds a packet's
/// pod by the interface of its link, in three maps one after the other: the Admin tier's, which may decide or return, the
/// NetworkPolicies', which always decides for the pods it has, and the Baseline tier's. Pods that the same policies select
/// share a chain, so that a packet meets the rules of its own pods and no others.
struct PolicyTable {
    static let name = "egress-lab-policy"

    private(set) var table: Table?
    private(set) var dropReasons: [String: DropReason] = [:]
    var nameSets: [NameSet] { rules.sets.names }

    private let cluster: Cluster
    /// Whose pods the table judges.
    private let node: String
    private let classes: PodClasses
    private var rules: PolicyRules
    private var chains: [Chain] = []
    private var maps: [NamedSet] = []
    /// Chains of rules that deny.
    private var denials = 0

    init(cluster: Cluster, policies: PolicySet, node: String) {
        self.cluster = cluster
        self.node = node
        classes = PodClasses(cluster.pods)
        rules = PolicyRules(sets: PeerSets(cluster: cluster, classes: classes))
        if !policies.isEmpty { compile(policies) }
    }

    private mutating func compile(_ policies: PolicySet) {
        var bases: [Chain] = []
        let judgesNode = policies.clusterPolicies.contains { !$0.egress.isEmpty }
        for direction in [NetworkPolicy.Direction.egress, .ingress] {
            let admin = add(.admin, policies, direction)
            let isolated = add(policies.networkPolicies, direction, isNodeJudged: direction == .egress && judgesNode)
            let baseline = add(.baseline, policies, direction)
            guard admin != nil || isolated != nil || baseline != nil else { continue }
            bases.append(
                Chain(
                    direction.word,
                    base: BaseChain(type: .filter, hook: .forward, priority: direction == .egress ? 0 : 1),
                    rules: [Self.known] + [admin, isolated?.toItself, isolated?.dispatch, baseline].compactMap(\.self)))
            if direction == .egress, admin != nil || baseline != nil {
                bases.append(
                    Chain(
                        "to-node", base: BaseChain(type: .filter, hook: .input, priority: 0),
                        rules: [Rule(Match.linkControl, Verdict.accept), Self.known]
                            + [admin, isolated?.toNode, baseline].compactMap(\.self)))
            }
        }
        guard !bases.isEmpty else { return }
        table = Table(name: Self.name, sets: rules.sets.all + maps, chains: bases + chains)
    }

    private static let known = Rule(Match(.ctState, .ctState([.established, .related])), Verdict.accept)

    // MARK: Groups

    /// Pods that the same policies select.
    private struct Group {
        /// Positions in the list of policies.
        var policies: [Int]
        /// Positions in the cluster's list of pods.
        var pods: [Int]
    }

    /// `selected` has the classes that each policy selects.
    private func groups(_ selected: [[Int]]) -> [Group] {
        var selecting: [[Int]] = Array(repeating: [], count: classes.all.count)
        for (position, group) in selected.enumerated() {
            for number in group { selecting[number].append(position) }
        }
        var groups: [Group] = []
        var known: [[Int]: Int] = [:]
        for (position, policies) in selecting.enumerated() where !policies.isEmpty {
            if let group = known[policies] {
                groups[group].pods += classes.all[position].pods
            } else {
                known[policies] = groups.count
                groups.append(Group(policies: policies, pods: classes.all[position].pods))
            }
        }
        // Other nodes' pods are judged there.
        for position in groups.indices { groups[position].pods.removeAll { cluster.pods[$0].node != node } }
        return groups.filter { !$0.pods.isEmpty }
    }

    private func link(_ position: Int) -> Value { .interface(cluster.pods[position].nodeInterface) }

    // MARK: NetworkPolicies

    /// How a base chain asks the NetworkPolicies of one direction.
    private struct Isolation {
        /// Back out through the link it came by: a pod that called itself through a Service.
        var toItself: Rule
        var dispatch: Rule
        /// A pod always reaches its own node, as far as NetworkPolicies are concerned.
        var toNode: Rule?
    }

    /// Adds the chains of the pods that are isolated in a direction; nil where none is.
    private mutating func add(
        _ policies: [NetworkPolicy], _ direction: NetworkPolicy.Direction, isNodeJudged: Bool
    ) -> Isolation? {
        let groups = groups(
            policies.map { policy in
                guard policy.policyTypes.contains(direction) else { return [] }
                return classes.select(namespace: policy.metadata.namespace, where: policy.podSelector.matches)
            })
        guard !groups.isEmpty else { return nil }
        let word = direction.word
        var chainOf: [SetElement] = []
        var dropOf: [SetElement] = []
        for (number, group) in groups.enumerated() {
            let chain = "\(word)-\(number + 1)"
            let isolating = group.policies.map { policies[$0] }
            chains.append(
                Chain(
                    chain,
                    rules: isolating.flatMap { rules.rules(of: $0, direction) }
                        + [Rule(VerdictMap([direction.link], .named("\(word)-drop")))]))
            for position in group.pods {
                let pod = cluster.pods[position]
                let drop = "\(word)-drop-\(pod.nodeInterface)"
                chains.append(Chain(drop, rules: dropRules(pod.id, direction, isolating)))
                chainOf.append(SetElement(link(position), verdict: .goto(chain)))
                dropOf.append(SetElement(link(position), verdict: .goto(drop)))
            }
        }
        let isolated = groups.flatMap(\.pods).sorted().map(link)
        let toItself = NamedSet(
            name: "\(word)-to-itself", keys: [.interfaceName, .interfaceName],
            elements: isolated.map { SetElement($0, $0) })
        maps += [
            toItself, .verdictMap(name: word, keys: [.interfaceName], elements: chainOf),
            .verdictMap(name: "\(word)-drop", keys: [.interfaceName], elements: dropOf),
        ]
        var toNode: Rule?
        if isNodeJudged {
            let set = NamedSet(name: "isolated", keys: [.interfaceName], elements: isolated.map { SetElement($0) })
            maps.append(set)
            toNode = Rule(Match([direction.link], in: set.name), Verdict.accept)
        }
        return Isolation(
            toItself: Rule(Match([.metaIifname, .metaOifname], in: toItself.name), Verdict.accept),
            dispatch: Rule(VerdictMap([direction.link], .named(word))), toNode: toNode)
    }

    private mutating func dropRules(
        _ pod: PodID, _ direction: NetworkPolicy.Direction, _ policies: [NetworkPolicy]
    ) -> [Rule] {
        let names = policies.map { "\($0.metadata.namespace)/\($0.metadata.name)" }.joined(separator: ", ")
        return dropRules(
            "\(direction.word) \(pod): NetworkPolicy \(names)",
            DropReason(pod: pod, direction: direction, policies: policies.map { $0.origin() }))
    }

    private mutating func dropRules(_ text: String, _ reason: DropReason) -> [Rule] {
        let prefix = DropPrefix.unique(text) { dropReasons[$0] == nil }
        dropReasons[prefix] = reason
        return [
            Rule(
                Counter(),
                Log(prefix: prefix, group: LabConstants.dropLogGroup, snaplen: LabConstants.logSnapLength)),
            Rule(Counter(), Verdict.drop),
        ]
    }

    // MARK: Cluster-wide policies

    /// Adds the chains of the pods that a tier's policies select and have rules for; nil where there are none.
    private mutating func add(
        _ tier: ClusterPolicy.Tier, _ policies: PolicySet, _ direction: NetworkPolicy.Direction
    ) -> Rule? {
        let policies = policies.clusterPolicies(in: tier).filter { !$0.rules(direction).isEmpty }
        let selected = policies.map { classes.select($0.subject, in: cluster) }
        let groups = groups(selected)
        guard !groups.isEmpty else { return nil }
        // A policy's rules depend on the policy alone, so the chains of several groups have the same ones.
        var rulesOf: [Int: [Rule]] = [:]
        let name = "\(direction.word)-\(tier.rawValue.lowercased())"
        var chainOf: [SetElement] = []
        for (number, group) in groups.enumerated() {
            let chain = "\(name)-\(number + 1)"
            for position in group.policies where rulesOf[position] == nil {
                rulesOf[position] = tierRules(of: policies[position], direction, selected[position])
            }
            chains.append(Chain(chain, rules: group.policies.flatMap { rulesOf[$0] ?? [] }))
            chainOf += group.pods.map { SetElement(link($0), verdict: .jump(chain)) }
        }
        maps.append(.verdictMap(name: name, keys: [.interfaceName], elements: chainOf))
        return Rule(VerdictMap([direction.link], .named(name)))
    }

    private mutating func tierRules(
        of policy: ClusterPolicy, _ direction: NetworkPolicy.Direction, _ subject: [Int]
    ) -> [Rule] {
        policy.rules(direction).enumerated().flatMap { position, rule -> [Rule] in
            let matches = rules.matches(of: rule, direction, subject)
            guard !matches.isEmpty else { return [] }
            let origin = policy.origin(direction, rule: position)
            let verdict: Verdict
            switch rule.action {
            case .accept: verdict = .accept
            case .pass: verdict = .return
            case .deny:
                denials += 1
                let chain = "\(direction.word)-deny-\(denials)"
                let field = "\(direction.word)[\(position)]" + (rule.name.map { " \($0)" } ?? "")
                chains.append(
                    Chain(
                        chain,
                        rules: dropRules(
                            "\(policy.policyKind.rawValue) \(policy.metadata.name) \(field)",
                            DropReason(pod: nil, direction: direction, policies: [origin]))))
                verdict = .goto(chain)
            }
            return matches.map { Rule($0 + [Counter(), verdict], comment: origin.description) }
        }
    }
}

extension NetworkPolicy.Direction {
    /// As chains, maps and logs are called.
    var word: String { rawValue.lowercased() }

    /// Where a packet's pod is: the interface it came from, or the one it leaves by.
    var link: Field { self == .egress ? .metaIifname : .metaOifname }

    /// Where a packet's peer is.
    func peer(_ family: IPFamily) -> Field {
        switch (self, family) {
        case (.egress, .ipv4): .ipDaddr
        case (.egress, .ipv6): .ip6Daddr
        case (.ingress, .ipv4): .ipSaddr
        case (.ingress, .ipv6): .ip6Saddr
        }
    }
}

extension ClusterPod {
    /// The node's end of the pod's link.
    package var nodeInterface: String { "veth\(index)" }
}
