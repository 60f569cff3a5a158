import Manifests
import NetworkAddresses
import Nftables

/// The sets of addresses that policies' peers stand for; peers that stand for the same addresses share a set.
struct PeerSets {
    struct Names {
        /// nil: no address of that family.
        var ipv4: String?
        var ipv6: String?
    }

    /// What a list of peers selects: groups of pods, and addresses given as blocks.
    struct Selected: Hashable {
        var classes: [Int]
        var blocks: IPPrefixSet
    }

    /// A port's name where certain pods are called.
    private struct NamedPort: Hashable {
        var name: String
        var transport: IPProtocol
        var pods: [Int]
        var family: IPFamily
    }

    private let cluster: Cluster
    private let classes: PodClasses
    private var known: [Selected: Names] = [:]
    private var knownPorts: [NamedPort: String] = [:]
    private var byContent: [IPPrefixSet: String] = [:]
    private(set) var all: [NamedSet] = []
    private(set) var names: [NameSet] = []

    init(cluster: Cluster, classes: PodClasses) {
        self.cluster = cluster
        self.classes = classes
    }

    mutating func names(of selected: Selected) -> Names {
        if let names = known[selected] { return names }
        let addresses = pods(in: selected.classes).flatMap { cluster.pods[$0].addresses }
        let whole = IPPrefixSet(addresses.map { IPPrefix($0) }).union(selected.blocks)
        let names = Names(
            ipv4: name(of: whole.restricted(to: .ipv4), .ipv4Address, "peers"),
            ipv6: name(of: whole.restricted(to: .ipv6), .ipv6Address, "peers6"))
        known[selected] = names
        return names
    }

    /// The sets of what the pods in `subject` learn for names; empty until they do.
    mutating func names(of patterns: [DomainPattern], learntBy subject: [Int]) -> Names {
        let addresses = pods(in: subject).flatMap { cluster.pods[$0].addresses }
        let set = NameSet(
            ipv4: "names-\(all.count + 1)", ipv6: "names6-\(all.count + 2)", patterns: patterns,
            subjects: Set(addresses))
        all.append(NamedSet(name: set.ipv4, keys: [.ipv4Address], flags: .timeout))
        all.append(NamedSet(name: set.ipv6, keys: [.ipv6Address], flags: .timeout))
        names.append(set)
        return Names(ipv4: set.ipv4, ipv6: set.ipv6)
    }

    /// The pods that peers select, as positions in the cluster's list; without peers all that a policy can mean.
    func pods(of selected: Selected?) -> [Int] { pods(in: selected?.classes ?? Array(classes.all.indices)) }

    func pods(in groups: [Int]) -> [Int] { groups.flatMap { classes.all[$0].pods }.sorted() }

    /// The set of the address and port that a named port means in each of `pods`; nil where it means none.
    mutating func name(ofPort name: String, _ transport: IPProtocol, in pods: [Int], _ family: IPFamily) -> String? {
        // Policies that mean the same pods share the set: else they would grow as policies times pods do.
        let key = NamedPort(name: name, transport: transport, pods: pods, family: family)
        if let name = knownPorts[key] { return name }
        let endpoints = pods.map { cluster.pods[$0] }.flatMap { pod -> [IPEndpoint] in
            guard let number = pod.number(of: .name(name), transport: transport) else { return [] }
            return pod.addresses.filter { $0.family == family }.map { IPEndpoint($0, number) }
        }
        guard !endpoints.isEmpty else { return nil }
        let word = family == .ipv4 ? "named-ports" : "named-ports6"
        let set = NamedSet(
            name: "\(word)-\(all.count + 1)",
            keys: [family == .ipv4 ? .ipv4Address : .ipv6Address, .inetService],
            elements: endpoints.map { SetElement(.address($0.address), .port($0.port)) })
        all.append(set)
        knownPorts[key] = set.name
        return set.name
    }

    /// What a NetworkPolicy's peers select.
    func select(_ peers: [NetworkPolicy.Peer], policyNamespace: String) -> Selected {
        var chosen: Set<Int> = []
        var blocks = IPPrefixSet()
        for peer in peers {
            switch peer {
            case .pods(let namespaces?, let pods):
                chosen.formUnion(classes.select(.init(namespaces: namespaces, pods: pods), in: cluster))
            case .pods(nil, let pods):
                chosen.formUnion(classes.select(namespace: policyNamespace) { pods?.matches($0) ?? true })
            case .ipBlock(let prefix, let except):
                blocks = blocks.union(IPPrefixSet([prefix]).subtracting(IPPrefixSet(except)))
            }
        }
        return Selected(classes: chosen.sorted(), blocks: blocks)
    }

    /// What a cluster-wide policy's peers select; names of domains have no addresses before they are looked up.
    func select(_ peers: [ClusterPolicy.Peer]) -> Selected {
        var chosen: Set<Int> = []
        var blocks: [IPPrefix] = []
        for peer in peers {
            switch peer {
            case .pods(let pods): chosen.formUnion(classes.select(pods, in: cluster))
            case .nodes(let selector):
                blocks += cluster.nodes.filter { selector.matches($0.labels) }.flatMap(\.addresses).map { IPPrefix($0) }
            case .networks(let networks): blocks += networks
            case .domainNames: break
            }
        }
        return Selected(classes: chosen.sorted(), blocks: IPPrefixSet(blocks))
    }

    private mutating func name(of addresses: IPPrefixSet, _ type: DataType, _ word: String) -> String? {
        guard !addresses.isEmpty else { return nil }
        if let name = byContent[addresses] { return name }
        let name = "\(word)-\(all.count + 1)"
        byContent[addresses] = name
        all.append(
            NamedSet(
                name: name, keys: [type], flags: .interval,
                elements: addresses.ranges.map { SetElement(.addresses($0)) }))
        return name
    }
}
