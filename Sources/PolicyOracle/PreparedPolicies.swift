import Manifests
import NetworkAddresses

/// Pods that no selector tells apart: those of one namespace with the same labels.
struct PodKind: Hashable {
    var namespace: String
    var labels: [String: String]
}

/// A pod, and whom it may always speak with.
final class PolicyMember: Sendable {
    let pod: PolicyWorld.Pod
    /// The place of its kind.
    let kind: Int
    let node: [IPAddress]

    init(_ pod: PolicyWorld.Pod, kind: Int, node: [IPAddress]) {
        self.pod = pod
        self.kind = kind
        self.node = node
    }
}

/// Who a rule speaks of: the selectors asked once of each kind of pod, not of each packet.
struct PreparedPeers: Sendable {
    /// Whether a kind's pods are meant.
    var kinds: [Bool]
    var nodes: Set<IPAddress> = []
    var blocks: [(block: IPPrefix, except: [IPPrefix])] = []
    var names: [DomainPattern] = []

    func holdsPod(_ member: PolicyMember?) -> Bool { member.map { kinds[$0.kind] } ?? false }

    func holdsAddress(_ address: IPAddress) -> Bool {
        blocks.contains { block, except in block.contains(address) && !except.contains { $0.contains(address) } }
    }
}

/// A NetworkPolicy whose selectors have been asked.
final class PreparedNetworkPolicy: Sendable {
    struct Rule: Sendable {
        /// nil: everybody.
        var peers: PreparedPeers?
        var ports: [NetworkPolicy.Port]?
        var location: SourceLocation
    }

    let policy: NetworkPolicy
    private let ingress: [Rule]
    private let egress: [Rule]

    init(_ policy: NetworkPolicy, _ selectors: PolicySelectors) {
        self.policy = policy
        func prepare(_ rule: NetworkPolicy.Rule) -> Rule {
            let peers = rule.peers.map { peers in
                var prepared = PreparedPeers(kinds: selectors.none)
                for peer in peers {
                    switch peer {
                    case .ipBlock(let block, let except): prepared.blocks.append((block, except))
                    case .pods(let namespaces, let pods):
                        selectors.mark(&prepared.kinds) { kind, namespaceLabels in
                            let isInNamespace =
                                namespaces.map { $0.holds(namespaceLabels) }
                                ?? (kind.namespace == policy.metadata.namespace)
                            return isInNamespace && (pods.map { $0.holds(kind.labels) } ?? true)
                        }
                    }
                }
                return prepared
            }
            return Rule(peers: peers, ports: rule.ports, location: rule.location)
        }
        ingress = policy.ingress.map(prepare)
        egress = policy.egress.map(prepare)
    }

    func rules(_ direction: NetworkPolicy.Direction) -> [Rule] { direction == .egress ? egress : ingress }

    var name: String { "\(policy.metadata.namespace)/\(policy.metadata.name)" }
}

/// A cluster-wide policy whose selectors have been asked.
final class PreparedClusterPolicy: Sendable {
    struct Rule: Sendable {
        var action: ClusterPolicy.Action
        var peers: PreparedPeers
        var ports: [ClusterPolicy.Port]?
    }

    let policy: ClusterPolicy
    /// Whether a kind's pods are its subject.
    let subject: [Bool]
    private let ingress: [Rule]
    private let egress: [Rule]

    init(_ policy: ClusterPolicy, _ selectors: PolicySelectors) {
        func kinds(_ pods: ClusterPolicy.Pods, _ marked: inout [Bool]) {
            selectors.mark(&marked) { kind, namespaceLabels in
                pods.namespaces.holds(namespaceLabels) && (pods.pods.map { $0.holds(kind.labels) } ?? true)
            }
        }
        func prepare(_ rule: ClusterPolicy.Rule) -> Rule {
            var prepared = PreparedPeers(kinds: selectors.none)
            for peer in rule.peers {
                switch peer {
                case .pods(let pods): kinds(pods, &prepared.kinds)
                case .nodes(let selector):
                    for node in selectors.nodes where selector.holds(node.labels) {
                        prepared.nodes.formUnion(node.addresses)
                    }
                case .networks(let networks): prepared.blocks += networks.map { ($0, []) }
                case .domainNames(let patterns): prepared.names += patterns
                }
            }
            return Rule(action: rule.action, peers: prepared, ports: rule.ports)
        }
        self.policy = policy
        var subject = selectors.none
        kinds(policy.subject, &subject)
        self.subject = subject
        ingress = policy.rules(.ingress).map(prepare)
        egress = policy.rules(.egress).map(prepare)
    }

    func rules(_ direction: NetworkPolicy.Direction) -> [Rule] { direction == .egress ? egress : ingress }

    var name: String { "\(policy.policyKind.rawValue) \(policy.metadata.name)" }
}

/// Whom selectors are asked of.
struct PolicySelectors {
    var kinds: [PodKind]
    /// Of each kind's namespace.
    var namespaceLabels: [[String: String]]
    var nodes: [PolicyWorld.Node]

    var none: [Bool] { Array(repeating: false, count: kinds.count) }

    func mark(_ marked: inout [Bool], where isMeant: (PodKind, _ namespaceLabels: [String: String]) -> Bool) {
        for number in kinds.indices where !marked[number] {
            marked[number] = isMeant(kinds[number], namespaceLabels[number])
        }
    }
}

extension LabelSelector {
    func holds(_ labels: [String: String]) -> Bool {
        for (key, value) in matchLabels where labels[key] != value { return false }
        for requirement in matchExpressions {
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
