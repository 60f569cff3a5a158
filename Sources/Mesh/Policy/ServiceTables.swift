import Manifests
import NetworkAddresses
import Nftables

/// A node's table that leads calls to Services' addresses to the pods behind them, as kube-proxy's do.
///
/// One lookup finds the Service, however many there are: address, protocol and port in one map for ClusterIPs, node
/// ports, load balancers' and external addresses alike.
struct ServiceTables {
    static let name = "egress-lab-services"
    private static let refused = "refused"
    private static let clusterPods = "cluster-pods"
    /// kube-proxy's mark for packets whose source the node puts its own address in place of.
    private static let masqueradeMark: UInt32 = 0x4000

    private let node: ServiceNode
    private let services: [ClusterService]
    private var sets: [NamedSet] = []
    private var maps: [IPFamily: [SetElement]] = [:]
    private var chains: [Chain] = []
    private var known: Set<String> = []
    private var hasExternalCalls = false
    private var usesClusterPods: Set<IPFamily> = []
    /// Addresses of pods that are behind some Service.
    private var backends: Set<IPAddress> = []
    /// What the drop log's prefixes stand for, where load balancers refuse callers.
    private(set) var dropReasons: [String: DropReason] = [:]

    /// The table of one node.
    init(_ services: [ClusterService], on node: ServiceNode) {
        self.services = services
        self.node = node
        for service in services { add(service) }
    }

    /// One table; none without Services that have addresses.
    var table: Table? {
        let refusing = services.flatMap { $0.clusterIPs + $0.loadBalancerIPs }
        guard !refusing.isEmpty || !maps.isEmpty else { return nil }
        var (lookups, translation, refusal, hairpin): ([NamedSet], [Rule], [Rule], [Rule]) = ([], [], [], [])
        for family in IPFamily.allCases {
            let fields = FamilyFields(family)
            let own = refusing.filter { $0.family == family }
            if !own.isEmpty {
                let name = "cluster-ips\(fields.suffix)"
                lookups.append(
                    NamedSet(name: name, keys: [fields.type], elements: own.map { SetElement(.address($0)) }))
                refusal.append(Rule(Match([fields.destination], in: name), Verdict.goto(Self.refused)))
            }
            if let elements = maps[family] {
                let name = "services\(fields.suffix)"
                lookups.append(
                    .verdictMap(name: name, keys: [fields.type, .inetProtocol, .inetService], elements: elements))
                translation.append(Rule(VerdictMap([fields.destination, .metaL4proto, .thDport], .named(name))))
            }
            let pods = backends.filter { $0.family == family }.sorted()
            if !pods.isEmpty {
                let name = "hairpin\(fields.suffix)"
                lookups.append(
                    NamedSet(
                        name: name, keys: [fields.type, fields.type],
                        elements: pods.map { SetElement(.address($0), .address($0)) }))
                hairpin.append(Rule(Match([fields.source, fields.destination], in: name), Counter(), Masquerade()))
            }
            if usesClusterPods.contains(family) { lookups.append(clusterPodsSet(fields)) }
        }
        if hasExternalCalls {
            hairpin.append(Rule(Match(.metaMark, .number(Self.masqueradeMark)), Counter(), Masquerade()))
        }
        let bases = [
            Chain(
                "prerouting", base: BaseChain(type: .nat, hook: .prerouting, priority: -100), rules: translation),
            Chain("output", base: BaseChain(type: .nat, hook: .output, priority: -100), rules: translation),
            // A pod that reaches itself through a Service must not see its own address as the caller's; and answers to
            // calls from outside must come back through the node that they came by.
            Chain(
                "postrouting", base: BaseChain(type: .nat, hook: .postrouting, priority: 100), rules: hairpin),
            // What is still addressed to a Service was led nowhere: no such port, or no pod behind it.
            Chain(
                "forward-refused", base: BaseChain(type: .filter, hook: .forward, priority: -10), rules: refusal),
            Chain("output-refused", base: BaseChain(type: .filter, hook: .output, priority: -10), rules: refusal),
            // A reset reaches the caller's socket even while it is still inside connect(); an ICMP error would not.
            Chain(
                Self.refused,
                rules: [
                    Rule(Match(.metaL4proto, .proto(.tcp)), Counter(), Reject.tcpReset),
                    Rule(Counter(), Reject.icmpx(.portUnreachable)),
                ]),
        ]
        return Table(name: Self.name, sets: lookups + sets, chains: bases.filter { !$0.rules.isEmpty } + chains)
    }

    private func clusterPodsSet(_ fields: FamilyFields) -> NamedSet {
        let pods = IPPrefixSet(node.podAddresses.map { IPPrefix($0) }).restricted(to: fields.family)
        return NamedSet(
            name: Self.clusterPods + fields.suffix, keys: [fields.type], flags: .interval,
            elements: pods.ranges.map { SetElement(.addresses($0)) })
    }

    // MARK: Services

    private mutating func add(_ service: ClusterService) {
        for port in service.ports {
            backends.formUnion(port.endpoints.map(\.address))
            for family in IPFamily.allCases {
                let endpoints = port.endpoints.filter { $0.address.family == family }
                guard !endpoints.isEmpty else { continue }
                let entry = Entry(service: service, port: port.port, family: family, endpoints: endpoints)
                let internalChain = { (tables: inout Self) in
                    tables.chain(for: entry, restricted: service.service.internalTrafficPolicy == .local)
                }
                lead(service.clusterIPs, port.port.number, entry, internalChain)
                let externalChain = { (tables: inout Self) in tables.externalChain(for: entry) }
                lead(service.loadBalancerIPs, port.port.number, entry) { $0.balancerChain(for: entry) }
                lead(service.service.externalIPs, port.port.number, entry, externalChain)
                if let number = port.nodePort { lead(node.addresses, number, entry, externalChain) }
            }
        }
    }

    /// A port of a Service in one family.
    private struct Entry {
        var service: ClusterService
        var port: Service.Port
        var family: IPFamily
        var endpoints: [IPEndpoint]

        func name(_ word: String) -> String {
            let metadata = service.service.metadata
            let name = "\(word)/\(metadata.namespace)/\(metadata.name)/\(port.transport)/\(port.number)/"
            return Self.shortened(name) + FamilyFields(family).suffix
        }

        var origin: String { service.service.origin().description }

        /// The kernel takes 127 bytes; a number that depends on the whole name keeps long ones apart.
        private static func shortened(_ name: String) -> String {
            guard name.utf8.count > 110 else { return name }
            // FNV-1a, 64 bits.
            let hash = name.utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
            return name.prefix(90) + String(hash, radix: 36) + "/"
        }
    }

    private mutating func lead(
        _ addresses: [IPAddress], _ number: UInt16, _ entry: Entry, _ chain: (inout Self) -> String
    ) {
        let addresses = addresses.filter { $0.family == entry.family }
        guard !addresses.isEmpty else { return }
        let target = chain(&self)
        maps[entry.family, default: []] += addresses.map {
            SetElement(.address($0), .proto(entry.port.transport), .port(number), verdict: .goto(target))
        }
    }

    /// The chain for calls from outside, and to addresses that are meant for those.
    private mutating func externalChain(for entry: Entry) -> String {
        let name = entry.name("external")
        guard known.insert(name).inserted else { return name }
        hasExternalCalls = true
        let everywhere = chain(for: entry, restricted: false)
        let masqueraded: [any Statement] = [MetaMarkSet.value(Self.masqueradeMark), Verdict.goto(everywhere)]
        guard entry.service.service.externalTrafficPolicy == .local else {
            chains.append(Chain(name, rules: [Rule(masqueraded, comment: entry.origin)]))
            return name
        }
        // Pods' own calls take the short way to all endpoints; only what comes from outside must stay on this node.
        let fields = FamilyFields(entry.family)
        usesClusterPods.insert(entry.family)
        let here = chain(for: entry, restricted: true)
        let own = node.addresses.filter { $0.family == entry.family }
        var rules = [
            Rule(
                Match([fields.source], in: Self.clusterPods + fields.suffix), Verdict.goto(everywhere),
                comment: entry.origin)
        ]
        if !own.isEmpty { rules.append(Rule([Match(fields.source, .set(own.map(Value.address)))] + masqueraded)) }
        chains.append(Chain(name, rules: rules + [Rule(Verdict.goto(here))]))
        return name
    }

    /// The chain for calls to a load balancer's addresses: external ones, from those who may call.
    private mutating func balancerChain(for entry: Entry) -> String {
        let ranges = IPPrefixSet(entry.service.service.loadBalancerSourceRanges).restricted(to: entry.family).ranges
        let target = externalChain(for: entry)
        if ranges.isEmpty { return target }
        let name = entry.name("sources")
        guard known.insert(name).inserted else { return name }
        let id = entry.service.service.id
        let service = "\(id.namespace)/\(id.name)"
        let origin = entry.service.service.origin("spec.loadBalancerSourceRanges")
        let reason = DropReason(pod: nil, service: service, direction: .ingress, policies: [origin])
        let prefix = DropPrefix.unique("sources \(service)") { dropReasons[$0] == nil || dropReasons[$0] == reason }
        dropReasons[prefix] = reason
        chains.append(
            Chain(
                name,
                rules: [
                    Rule(
                        Match(FamilyFields(entry.family).source, .set(ranges.map(Value.addresses))),
                        Verdict.goto(target), comment: origin.description),
                    Rule(
                        Counter(),
                        Log(prefix: prefix, group: LabConstants.dropLogGroup, snaplen: LabConstants.logSnapLength)),
                    Rule(Counter(), Verdict.drop, comment: origin.description),
                ]))
        return name
    }

    /// The chain that chooses among the endpoints of a Service's port; with one of them, that endpoint's own.
    private mutating func chain(for entry: Entry, restricted: Bool) -> String {
        let endpoints = restricted ? entry.endpoints.filter(node.has) : entry.endpoints
        if endpoints.isEmpty { return dropChain(for: entry) }
        if let seconds = entry.service.service.affinitySeconds, endpoints.count > 1 {
            return affinityChain(for: entry, endpoints, restricted: restricted, seconds: seconds)
        }
        let targets = endpoints.map { chain(for: $0, entry.port.transport) }
        if targets.count == 1 { return targets[0] }
        let name = entry.name(restricted && endpoints.count < entry.endpoints.count ? "local" : "service")
        guard known.insert(name).inserted else { return name }
        chains.append(Chain(name, rules: [Rule([NumGen(targets.map(Verdict.goto))], comment: entry.origin)]))
        return name
    }

    /// A client that was led to an endpoint comes there again, until its time is over.
    private mutating func affinityChain(
        for entry: Entry, _ endpoints: [IPEndpoint], restricted: Bool, seconds: Int
    ) -> String {
        let name = entry.name(restricted && endpoints.count < entry.endpoints.count ? "local" : "service")
        guard known.insert(name).inserted else { return name }
        let fields = FamilyFields(entry.family)
        var rules: [Rule] = []
        var targets: [String] = []
        for endpoint in endpoints {
            let target = chain(for: endpoint, entry.port.transport)
            // All of a Service's chains share what is known of its clients.
            let set = entry.name("affinity/\(fields.chainName(endpoint.address))/\(endpoint.port)")
            let remembering = "to/" + set
            if known.insert(set).inserted {
                sets.append(.dynamic(name: set, key: fields.type, timeoutSeconds: seconds))
                chains.append(
                    Chain(remembering, rules: [Rule(SetUpdate(fields.source, in: set), Verdict.goto(target))]))
            }
            targets.append(remembering)
            rules.append(Rule(Match([fields.source], in: set), Verdict.goto(remembering)))
        }
        rules.append(Rule([NumGen(targets.map(Verdict.goto))], comment: entry.origin))
        chains.append(Chain(name, rules: rules))
        return name
    }

    /// As kube-proxy does where a Service has endpoints and none of them on this node: silence. Here it is logged.
    private mutating func dropChain(for entry: Entry) -> String {
        let name = entry.name("nowhere")
        guard known.insert(name).inserted else { return name }
        let prefix = ServiceDrop(entry.service.service.id).prefix
        chains.append(
            Chain(
                name,
                rules: [
                    Rule(
                        Counter(),
                        Log(prefix: prefix, group: LabConstants.dropLogGroup, snaplen: LabConstants.logSnapLength)),
                    Rule(Counter(), Verdict.drop, comment: entry.origin),
                ]))
        return name
    }

    private mutating func chain(for endpoint: IPEndpoint, _ transport: IPProtocol) -> String {
        let address = FamilyFields(endpoint.address.family).chainName(endpoint.address)
        let name = "endpoint/\(address)/\(transport)/\(endpoint.port)"
        guard known.insert(name).inserted else { return name }
        chains.append(
            Chain(name, rules: [Rule(Match(.metaL4proto, .proto(transport)), Counter(), DNAT(to: endpoint))]))
        return name
    }
}

/// What a node's Service translation depends on beside the Services.
struct ServiceNode {
    /// The addresses that its node ports are open at.
    var addresses: [IPAddress]
    /// The pods that run on it, and the node itself for those on its network.
    var ownAddresses: Set<IPAddress>
    /// The addresses of all pods of the cluster.
    var podAddresses: [IPAddress]

    func has(_ endpoint: IPEndpoint) -> Bool { ownAddresses.contains(endpoint.address) }
}

/// The drop log's prefix for a Service that has no endpoint on the node where it must have one.
package struct ServiceDrop: Sendable, Equatable {
    private static let word = "service "

    /// `namespace/name`.
    package let service: String

    init(_ id: ResourceID) { service = "\(id.namespace)/\(id.name)" }

    /// The Service that a prefix tells of; nil for any other prefix.
    package init?(prefix: String) {
        guard prefix.hasPrefix(Self.word) else { return nil }
        service = String(prefix.dropFirst(Self.word.count))
    }

    var prefix: String { String((Self.word + service).prefix(DropPrefix.longest)) }
}

/// The names that one family's addresses have in rules.
private struct FamilyFields {
    let family: IPFamily

    init(_ family: IPFamily) { self.family = family }

    var type: DataType { family == .ipv4 ? .ipv4Address : .ipv6Address }
    var source: Field { family == .ipv4 ? .ipSaddr : .ip6Saddr }
    var destination: Field { family == .ipv4 ? .ipDaddr : .ip6Daddr }
    var suffix: String { family == .ipv4 ? "4" : "6" }

    /// An address as it may stand in a chain's name.
    func chainName(_ address: IPAddress) -> String { String(address.description.map { $0 == ":" ? "-" : $0 }) }
}
