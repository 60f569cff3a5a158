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
    private struct Selected: Hashable {
        var classes: [Int]
        var blocks: IPPrefixSet
    }

    private let cluster: Cluster
    private let classes: PodClasses
    private var known: [Selected: Names] = [:]
    private var byContent: [IPPrefixSet: String] = [:]
    private(set) var all: [NamedSet] = []

    init(cluster: Cluster, classes: PodClasses) {
        self.cluster = cluster
        self.classes = classes
    }

    mutating func names(of peers: [NetworkPolicy.Peer], policyNamespace: String) -> Names {
        let selected = select(peers, policyNamespace)
        if let names = known[selected] { return names }
        let addresses = selected.classes.flatMap { classes.all[$0].pods }.flatMap { cluster.pods[$0].addresses }
        let whole = IPPrefixSet(addresses.map { IPPrefix($0) }).union(selected.blocks)
        let names = Names(
            ipv4: name(of: whole.restricted(to: .ipv4), .ipv4Address, "peers"),
            ipv6: name(of: whole.restricted(to: .ipv6), .ipv6Address, "peers6"))
        known[selected] = names
        return names
    }

    /// The pods that peers select, as positions in the cluster's list; without peers all that a policy can mean.
    func pods(of peers: [NetworkPolicy.Peer]?, policyNamespace: String) -> [Int] {
        let chosen = peers.map { select($0, policyNamespace).classes } ?? Array(classes.all.indices)
        return chosen.flatMap { classes.all[$0].pods }.sorted()
    }

    /// The set of the address and port that a named port means in each of `pods`; nil where it means none.
    mutating func name(ofPort name: String, _ transport: IPProtocol, in pods: [Int], _ family: IPFamily) -> String? {
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
        return set.name
    }

    private func select(_ peers: [NetworkPolicy.Peer], _ policyNamespace: String) -> Selected {
        var chosen: Set<Int> = []
        var blocks = IPPrefixSet()
        for peer in peers {
            switch peer {
            case .pods(let namespaces, let pods):
                let names =
                    namespaces.map { selector in
                        classes.byNamespace.keys.filter { selector.matches(cluster.namespaces[$0] ?? [:]) }
                    } ?? [policyNamespace]
                for name in names {
                    chosen.formUnion(classes.select(namespace: name) { pods?.matches($0) ?? true })
                }
            case .ipBlock(let prefix, let except):
                blocks = blocks.union(IPPrefixSet([prefix]).subtracting(IPPrefixSet(except)))
            }
        }
        return Selected(classes: chosen.sorted(), blocks: blocks)
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
