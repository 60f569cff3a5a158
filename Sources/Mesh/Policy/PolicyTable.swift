import Manifests
import NetworkAddresses
import Nftables

/// The node's table that judges forwarded packets by NetworkPolicies (networkpolicy.md §6).
///
/// The base chain finds a packet's pods by the interfaces of their links: first the source pod's chain for egress, then
/// the destination pod's for ingress. A chain returns what it allows. Pods that the same policies isolate share a chain.
struct PolicyTable {
    static let name = "egress-lab-policy"

    private(set) var table: Table?
    private(set) var dropReasons: [String: DropReason] = [:]

    private let cluster: Cluster
    /// Whose pods the table judges.
    private let node: String
    private let classes: PodClasses
    private var sets: PeerSets
    private var chains: [Chain] = []

    init(cluster: Cluster, policies: [NetworkPolicy], node: String) {
        self.cluster = cluster
        self.node = node
        classes = PodClasses(cluster.pods)
        sets = PeerSets(cluster: cluster, classes: classes)
        compile(policies)
    }

    /// Where a packet's pod is: the interface it came from, or the one it leaves by.
    private static func interface(_ direction: NetworkPolicy.Direction) -> Field {
        direction == .egress ? .metaIifname : .metaOifname
    }

    private static func word(_ direction: NetworkPolicy.Direction) -> String { direction.rawValue.lowercased() }

    private mutating func compile(_ policies: [NetworkPolicy]) {
        var maps: [NamedSet] = []
        var dispatch: [Rule] = []
        var isolated: Set<Int> = []
        for direction in [NetworkPolicy.Direction.egress, .ingress] {
            let groups = groups(of: policies, direction)
            guard !groups.isEmpty else { continue }
            let word = Self.word(direction)
            let (chainOf, dropOf) = add(groups, policies, direction)
            maps.append(.verdictMap(name: word, keys: [.interfaceName], elements: chainOf))
            maps.append(.verdictMap(name: "\(word)-drop", keys: [.interfaceName], elements: dropOf))
            dispatch.append(Rule(VerdictMap([Self.interface(direction)], .named(word))))
            isolated.formUnion(groups.flatMap(\.pods))
        }
        guard !dispatch.isEmpty else { return }
        // Back out through the link it came by: a pod that called itself through a Service.
        let toItself = NamedSet(
            name: "to-itself", keys: [.interfaceName, .interfaceName],
            elements: isolated.sorted().map { position in
                let link = Value.interface(cluster.pods[position].nodeInterface)
                return SetElement(link, link)
            })
        let base = Chain(
            "forward", base: BaseChain(type: .filter, hook: .forward, priority: 0),
            rules: [
                Rule(Match(.ctState, .ctState([.established, .related])), Verdict.accept),
                Rule(Match([.metaIifname, .metaOifname], in: toItself.name), Verdict.accept),
            ] + dispatch)
        table = Table(name: Self.name, sets: sets.all + [toItself] + maps, chains: [base] + chains)
    }

    // MARK: Groups

    /// Pods that are isolated by the same policies.
    private struct Group {
        /// Positions in the list of policies.
        var policies: [Int]
        /// Positions in the cluster's list of pods.
        var pods: [Int]
    }

    private func groups(of policies: [NetworkPolicy], _ direction: NetworkPolicy.Direction) -> [Group] {
        var selecting: [[Int]] = Array(repeating: [], count: classes.all.count)
        for (position, policy) in policies.enumerated() where policy.policyTypes.contains(direction) {
            let selected = classes.select(
                namespace: policy.metadata.namespace, where: policy.podSelector.matches)
            for group in selected { selecting[group].append(position) }
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

    /// Adds the chains of all groups; gives the elements that lead packets to them.
    private mutating func add(
        _ groups: [Group], _ policies: [NetworkPolicy], _ direction: NetworkPolicy.Direction
    ) -> (chains: [SetElement], drops: [SetElement]) {
        let word = Self.word(direction)
        var chainOf: [SetElement] = []
        var dropOf: [SetElement] = []
        for (number, group) in groups.enumerated() {
            let chain = "\(word)-\(number + 1)"
            var rules: [Rule] = []
            for position in group.policies { rules += self.rules(of: policies[position], direction) }
            rules.append(Rule(VerdictMap([Self.interface(direction)], .named("\(word)-drop"))))
            chains.append(Chain(chain, rules: rules))
            let isolating = group.policies.map { policies[$0] }
            for position in group.pods {
                let pod = cluster.pods[position]
                let drop = "\(word)-drop-\(pod.nodeInterface)"
                chains.append(Chain(drop, rules: dropRules(pod.id, direction, isolating)))
                let link = Value.interface(pod.nodeInterface)
                chainOf.append(SetElement(link, verdict: .jump(chain)))
                dropOf.append(SetElement(link, verdict: .goto(drop)))
            }
        }
        return (chainOf, dropOf)
    }

    // MARK: Rules

    private mutating func dropRules(
        _ pod: PodID, _ direction: NetworkPolicy.Direction, _ policies: [NetworkPolicy]
    ) -> [Rule] {
        let prefix = DropPrefix.unique(
            "\(Self.word(direction)) \(pod)", policies: policies.map { "\($0.metadata.namespace)/\($0.metadata.name)" }
        ) { dropReasons[$0] == nil }
        dropReasons[prefix] = DropReason(
            pod: pod, direction: direction, policies: policies.map { $0.origin() })
        return [
            Rule(
                Counter(),
                Log(prefix: prefix, group: LabConstants.dropLogGroup, snaplen: LabConstants.logSnapLength)),
            Rule(Counter(), Verdict.drop),
        ]
    }

    private mutating func rules(of policy: NetworkPolicy, _ direction: NetworkPolicy.Direction) -> [Rule] {
        let list = direction == .egress ? policy.egress : policy.ingress
        return list.enumerated().flatMap { number, rule in
            let field = "spec.\(Self.word(direction))[\(number)]"
            return rules(of: rule, in: policy, direction, comment: policy.origin(field, at: rule.location).description)
        }
    }

    private mutating func rules(
        of rule: NetworkPolicy.Rule, in policy: NetworkPolicy, _ direction: NetworkPolicy.Direction, comment: String
    ) -> [Rule] {
        let ports = rule.ports.map { matches(of: $0) } ?? [[]]
        let peers = rule.peers.map { self.matches(of: $0, policy, direction) }
        var found = (peers.map { $0.map(\.match) } ?? [[]]).flatMap { peer in ports.map { peer + $0 } }
        // A named port belongs to the destination. Its set tells the peers of egress already; those of ingress are the
        // sources.
        for (family, match) in (rule.ports ?? []).flatMap({ matches(ofNamed: $0, rule, policy, direction) }) {
            if direction == .ingress, let peers {
                found += peers.filter { $0.family == family }.map { $0.match + match }
            } else {
                found.append(match)
            }
        }
        return found.map { Rule($0 + [Counter(), Verdict.return], comment: comment) }
    }

    private typealias FamilyMatch = (family: IPFamily, match: [any Statement])

    /// One match for each family in which the peers have addresses.
    private mutating func matches(
        of peers: [NetworkPolicy.Peer], _ policy: NetworkPolicy, _ direction: NetworkPolicy.Direction
    ) -> [FamilyMatch] {
        let names = sets.names(of: peers, policyNamespace: policy.metadata.namespace)
        let fields: (ipv4: Field, ipv6: Field) = direction == .egress ? (.ipDaddr, .ip6Daddr) : (.ipSaddr, .ip6Saddr)
        return [
            names.ipv4.map { (.ipv4, [Match([fields.ipv4], in: $0)]) },
            names.ipv6.map { (.ipv6, [Match([fields.ipv6], in: $0)]) },
        ].compactMap(\.self)
    }

    /// One match for each family in which the port's name means something.
    private mutating func matches(
        ofNamed port: NetworkPolicy.Port, _ rule: NetworkPolicy.Rule, _ policy: NetworkPolicy,
        _ direction: NetworkPolicy.Direction
    ) -> [FamilyMatch] {
        guard case .named(let name) = port.number else { return [] }
        let namespace = policy.metadata.namespace
        let destinations =
            direction == .egress
            ? sets.pods(of: rule.peers, policyNamespace: namespace)
            : sets.pods(of: [.pods(namespaces: nil, pods: policy.podSelector)], policyNamespace: namespace)
        let field: Field = port.transport == .udp ? .udpDport : port.transport == .sctp ? .sctpDport : .tcpDport
        return IPFamily.allCases.compactMap { family in
            sets.name(ofPort: name, port.transport, in: destinations, family).map {
                (family, [Match([family == .ipv4 ? .ipDaddr : .ip6Daddr, field], in: $0)])
            }
        }
    }

    /// One match for each transport protocol.
    private func matches(of ports: [NetworkPolicy.Port]) -> [[any Statement]] {
        let fields: [(IPProtocol, Field)] = [(.tcp, .tcpDport), (.udp, .udpDport), (.sctp, .sctpDport)]
        return fields.compactMap { transport, field in
            let numbers = ports.filter { $0.transport == transport }.map(\.number)
            if numbers.contains(.all) { return [Match(.metaL4proto, .proto(transport))] }
            let ranges = numbers.compactMap { number -> PortRange? in
                guard case .range(let range) = number else { return nil }
                return range
            }
            guard let first = ranges.first else { return nil }
            return [Match(field, Set(ranges).count == 1 ? .ports(first) : .set(ranges.map(Value.ports)))]
        }
    }
}

extension ClusterPod {
    /// The node's end of the pod's link.
    package var nodeInterface: String { "veth\(index)" }
}
