import Manifests
import NetworkAddresses
import Nftables

/// The node's tables that lead calls to Services' addresses to the pods behind them, as kube-proxy's do.
struct ServiceTables {
    static let name = "egress-lab-services"
    private static let refused = "refused"

    private var maps: [IPFamily: [SetElement]] = [:]
    private var chains: [Chain] = []
    private var endpointChains: [EndpointKey: String] = [:]
    private let services: [ClusterService]
    /// Addresses of pods that are behind some Service.
    private var backends: Set<IPAddress> = []

    private struct EndpointKey: Hashable {
        var transport: IPProtocol
        var endpoint: IPEndpoint
    }

    init(_ services: [ClusterService]) {
        self.services = services
        for service in services { add(service) }
    }

    /// One table; none without Services that have addresses.
    var table: Table? {
        let addresses = services.flatMap(\.clusterIPs)
        guard !addresses.isEmpty else { return nil }
        var sets: [NamedSet] = []
        var translation: [Rule] = []
        var refusal: [Rule] = []
        var hairpin: [Rule] = []
        for family in IPFamily.allCases {
            let isIPv4 = family == .ipv4
            let (type, source, destination, suffix): (DataType, Field, Field, String) =
                isIPv4 ? (.ipv4Address, .ipSaddr, .ipDaddr, "4") : (.ipv6Address, .ip6Saddr, .ip6Daddr, "6")
            let own = addresses.filter { $0.family == family }
            guard !own.isEmpty else { continue }
            sets.append(
                NamedSet(name: "cluster-ips\(suffix)", keys: [type], elements: own.map { SetElement(.address($0)) }))
            refusal.append(Rule(Match([destination], in: "cluster-ips\(suffix)"), Verdict.goto(Self.refused)))
            if let elements = maps[family] {
                sets.append(
                    .verdictMap(
                        name: "services\(suffix)", keys: [type, .inetProtocol, .inetService], elements: elements))
                translation.append(
                    Rule(VerdictMap([destination, .metaL4proto, .thDport], .named("services\(suffix)"))))
            }
            let pods = backends.filter { $0.family == family }.sorted()
            guard !pods.isEmpty else { continue }
            sets.append(
                NamedSet(
                    name: "hairpin\(suffix)", keys: [type, type],
                    elements: pods.map { SetElement(.address($0), .address($0)) }))
            hairpin.append(Rule(Match([source, destination], in: "hairpin\(suffix)"), Counter(), Masquerade()))
        }
        let bases = [
            Chain(
                "prerouting", base: BaseChain(type: .nat, hook: .prerouting, priority: -100), rules: translation),
            Chain("output", base: BaseChain(type: .nat, hook: .output, priority: -100), rules: translation),
            // A pod that reaches itself through a Service must not see its own address as the caller's.
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
        return Table(name: Self.name, sets: sets, chains: bases.filter { !$0.rules.isEmpty } + chains)
    }

    private mutating func add(_ service: ClusterService) {
        guard !service.clusterIPs.isEmpty else { return }
        for port in service.ports {
            backends.formUnion(port.endpoints.map(\.address))
            for family in IPFamily.allCases {
                let addresses = service.clusterIPs.filter { $0.family == family }
                let endpoints = port.endpoints.filter { $0.address.family == family }
                guard !addresses.isEmpty, !endpoints.isEmpty else { continue }
                let chain = chain(for: service, port.port, family, endpoints)
                maps[family, default: []] += addresses.map { address in
                    SetElement(
                        .address(address), .proto(port.port.transport), .port(port.port.number), verdict: .goto(chain))
                }
            }
        }
    }

    /// The chain that chooses among the endpoints of a Service's port; with one of them, that endpoint's own.
    private mutating func chain(
        for service: ClusterService, _ port: Service.Port, _ family: IPFamily, _ endpoints: [IPEndpoint]
    ) -> String {
        let targets = endpoints.map { chain(for: $0, port.transport) }
        if targets.count == 1 { return targets[0] }
        let (metadata, suffix) = (service.service.metadata, family == .ipv4 ? "4" : "6")
        let name = "service/\(metadata.namespace)/\(metadata.name)/\(port.transport)/\(port.number)/\(suffix)"
        chains.append(
            Chain(
                name, rules: [Rule([NumGen(targets.map(Verdict.goto))], comment: service.service.origin().description)]
            ))
        return name
    }

    private mutating func chain(for endpoint: IPEndpoint, _ transport: IPProtocol) -> String {
        let key = EndpointKey(transport: transport, endpoint: endpoint)
        if let name = endpointChains[key] { return name }
        let address = String(endpoint.address.description.map { $0 == ":" ? "-" : $0 })
        let name = "endpoint/\(address)/\(transport)/\(endpoint.port)"
        endpointChains[key] = name
        chains.append(
            Chain(name, rules: [Rule(Match(.metaL4proto, .proto(transport)), Counter(), DNAT(to: endpoint))]))
        return name
    }
}
