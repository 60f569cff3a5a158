import Manifests
import Mesh
import NetworkAddresses
import PolicyOracle

/// SplitMix64: the same seed gives the same policies everywhere.
struct PolicyRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 &+ 1 }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
        return z ^ z >> 31
    }

    /// True once in `count` times.
    mutating func once(in count: Int) -> Bool { Int.random(in: 0..<count, using: &self) == 0 }

    mutating func pick<Element>(_ list: [Element]) -> Element { list[Int.random(in: list.indices, using: &self)] }

    mutating func some<Element>(_ list: [Element], _ count: ClosedRange<Int>) -> [Element] {
        Array(list.shuffled(using: &self).prefix(Int.random(in: count, using: &self)))
    }
}

/// Makes up policies that have much to do with each other: few labels, few ports, few addresses.
struct PolicyGenerator {
    static let namespaces = ["n1", "n2", "n3"]
    static let keys = ["app", "tier"]
    static let values = ["a", "b", "c"]
    static let portNames = ["web", "dns", "sig"]
    static let ports: [UInt16] = [53, 80, 81, 8080]
    /// Names that pods have asked for, and what policies write to mean them.
    static let names = ["example.org", "a.example.org", "b.a.example.org", "example.net"]
    private static let patterns = names + ["*.example.org", "*.a.example.org", "*.example.net"]

    var random: PolicyRandom
    /// Addresses that networks are made around.
    let addresses: [IPAddress]
    private var line = 0

    init(seed: UInt64, addresses: [IPAddress]) {
        random = PolicyRandom(seed: seed)
        self.addresses = addresses
    }

    private mutating func location() -> SourceLocation {
        line += 1
        return SourceLocation(file: "random.yaml", line: line)
    }

    mutating func labels() -> [String: String] {
        var labels: [String: String] = [:]
        for key in Self.keys where !random.once(in: 3) { labels[key] = random.pick(Self.values) }
        return labels
    }

    // MARK: Selectors

    mutating func selector(ofNamespaces: Bool = false) -> LabelSelector {
        switch Int.random(in: 0..<6, using: &random) {
        case 0: return LabelSelector()
        case 1 where ofNamespaces:
            return LabelSelector(matchLabels: ["kubernetes.io/metadata.name": random.pick(Self.namespaces)])
        case 1, 2: return LabelSelector(matchLabels: [random.pick(Self.keys): random.pick(Self.values)])
        default:
            var requirements = [requirement()]
            if random.once(in: 4) { requirements.append(requirement()) }
            return LabelSelector(matchExpressions: requirements)
        }
    }

    private mutating func requirement() -> LabelSelector.Requirement {
        let operation: LabelSelector.Operator = random.pick([.in, .notIn, .exists, .doesNotExist])
        let values = operation == .in || operation == .notIn ? random.some(Self.values, 1...2) : []
        return .init(key: random.pick(Self.keys), operator: operation, values: values)
    }

    // MARK: Addresses and ports

    private mutating func network() -> IPPrefix {
        let address = random.pick(addresses)
        let most = address.family.bitWidth
        let length = random.pick([0, most - 16, most - 4, most - 2, most - 1, most])
        return IPPrefix(address, length: length) ?? IPPrefix(address)
    }

    private mutating func range() -> PortRange {
        let first = random.pick(Self.ports)
        let last = random.once(in: 3) ? max(first, random.pick(Self.ports)) : first
        return PortRange(first, through: last) ?? PortRange(first)
    }

    private mutating func transport() -> IPProtocol { random.pick([.tcp, .tcp, .udp, .sctp]) }

    // MARK: NetworkPolicies

    mutating func networkPolicy(_ number: Int) -> NetworkPolicy {
        let types: [NetworkPolicy.Direction] = random.pick([[.ingress], [.egress], [.ingress, .egress]])
        let ingress = types.contains(.ingress) ? rules() : []
        let egress = types.contains(.egress) ? rules() : []
        return NetworkPolicy(
            metadata: ObjectMeta(name: "np\(number)", namespace: random.pick(Self.namespaces), location: location()),
            podSelector: selector(), policyTypes: types, ingress: ingress, egress: egress)
    }

    private mutating func rules() -> [NetworkPolicy.Rule] {
        (0..<Int.random(in: 0...3, using: &random)).map { _ in
            let peers = random.once(in: 5) ? nil : (0..<Int.random(in: 1...2, using: &random)).map { _ in peer() }
            let ports = random.once(in: 3) ? nil : (0..<Int.random(in: 1...2, using: &random)).map { _ in port() }
            return NetworkPolicy.Rule(peers: peers, ports: ports, location: location())
        }
    }

    private mutating func peer() -> NetworkPolicy.Peer {
        switch Int.random(in: 0..<4, using: &random) {
        case 0: return .pods(namespaces: nil, pods: selector())
        case 1: return .pods(namespaces: selector(ofNamespaces: true), pods: nil)
        case 2: return .pods(namespaces: selector(ofNamespaces: true), pods: selector())
        default:
            let block = network()
            let holes = (0..<Int.random(in: 0...2, using: &random)).map { _ in network() }
            return .ipBlock(block, except: holes.filter { block.contains($0) && $0 != block })
        }
    }

    private mutating func port() -> NetworkPolicy.Port {
        let number: NetworkPolicy.Port.Number
        switch Int.random(in: 0..<5, using: &random) {
        case 0: number = .all
        case 1: number = .named(random.pick(Self.portNames))
        default: number = .range(range())
        }
        return NetworkPolicy.Port(transport: transport(), number: number, location: location())
    }

    // MARK: Cluster-wide policies

    mutating func clusterPolicies(_ count: Int, _ isNew: Bool) -> [ClusterPolicy] {
        let list = (0..<count).map { clusterPolicy($0, isNew) }
        // Of the older kind there is one Baseline policy at most.
        return isNew ? list : list.filter { $0.tier == .admin } + list.filter { $0.tier == .baseline }.prefix(1)
    }

    private mutating func clusterPolicy(_ number: Int, _ isNew: Bool) -> ClusterPolicy {
        let tier: ClusterPolicy.Tier = random.pick([.admin, .admin, .baseline])
        let hasPass = isNew || tier == .admin
        let kind: ClusterPolicy.Kind = isNew ? .cluster : tier == .admin ? .admin : .baseline
        return ClusterPolicy(
            kind: kind,
            metadata: ObjectMeta(
                name: kind == .baseline ? "default" : "p\(number)", namespace: "", location: location()),
            tier: tier, priority: kind == .baseline ? 0 : Int.random(in: 0...4, using: &random), subject: pods(),
            ingress: rules(.ingress, hasPass, false), egress: rules(.egress, hasPass, kind != .baseline))
    }

    private mutating func pods() -> ClusterPolicy.Pods {
        .init(namespaces: selector(ofNamespaces: true), pods: random.once(in: 2) ? nil : selector())
    }

    /// What pods know of names: anybody any address.
    mutating func learnt(by pods: [IPAddress]) -> Set<PolicyWorld.LearntAddress> {
        Set(
            (0..<Int.random(in: 0...8, using: &random)).map { _ in
                PolicyWorld.LearntAddress(
                    pod: random.pick(pods), name: random.pick(Self.names), address: random.pick(addresses))
            })
    }

    private mutating func rules(
        _ direction: NetworkPolicy.Direction, _ hasPass: Bool, _ hasNames: Bool
    ) -> [ClusterPolicy.Rule] {
        (0..<Int.random(in: 0...3, using: &random)).map { number in
            let action: ClusterPolicy.Action = random.pick(
                hasPass ? [.accept, .deny, .pass] : [.accept, .deny])
            let mayBeNames = action == .accept && hasNames
            let peers = (0..<Int.random(in: 1...2, using: &random)).map { _ in
                peer(direction, mayBeNames: mayBeNames)
            }
            let hasPodsOnly = peers.allSatisfy { if case .pods = $0 { true } else { false } }
            let ports =
                random.once(in: 3)
                ? nil : (0..<Int.random(in: 1...2, using: &random)).map { _ in port(mayBeNamed: hasPodsOnly) }
            return ClusterPolicy.Rule(
                name: random.once(in: 2) ? "rule \(number)" : nil,
                action: action, peers: peers, ports: ports, location: location())
        }
    }

    private mutating func peer(_ direction: NetworkPolicy.Direction, mayBeNames: Bool) -> ClusterPolicy.Peer {
        guard direction == .egress else { return .pods(pods()) }
        switch Int.random(in: 0..<6, using: &random) {
        case 0: return .nodes(random.once(in: 2) ? LabelSelector() : selector())
        case 1 where mayBeNames:
            return .domainNames(random.some(Self.patterns, 1...2).compactMap { DomainPattern($0) })
        case 1, 2: return .networks((0..<Int.random(in: 1...2, using: &random)).map { _ in network() })
        default: return .pods(pods())
        }
    }

    private mutating func port(mayBeNamed: Bool) -> ClusterPolicy.Port {
        mayBeNamed && random.once(in: 4)
            ? .named(random.pick(Self.portNames)) : .range(transport(), range())
    }
}
