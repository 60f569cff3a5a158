import Manifests
import NetworkAddresses
import Nftables

/// What policies' rules match, as matches on addresses and ports.
struct PolicyRules {
    private(set) var sets: PeerSets

    init(sets: PeerSets) { self.sets = sets }

    private typealias FamilyMatch = (family: IPFamily, match: [any Statement])
    private static let transports: [(transport: IPProtocol, port: Field)] = [
        (.tcp, .tcpDport), (.udp, .udpDport), (.sctp, .sctpDport),
    ]

    // MARK: NetworkPolicies

    /// The rules that accept what a NetworkPolicy allows in a direction.
    mutating func rules(of policy: NetworkPolicy, _ direction: NetworkPolicy.Direction) -> [Rule] {
        let list = direction == .egress ? policy.egress : policy.ingress
        return list.enumerated().flatMap { number, rule in
            let origin = policy.origin("spec.\(direction.word)[\(number)]", at: rule.location)
            return matches(of: rule, in: policy, direction).map {
                Rule($0 + [Counter(), Verdict.accept], comment: origin.description)
            }
        }
    }

    private mutating func matches(
        of rule: NetworkPolicy.Rule, in policy: NetworkPolicy, _ direction: NetworkPolicy.Direction
    ) -> [[any Statement]] {
        let namespace = policy.metadata.namespace
        let chosen = rule.peers.map { sets.select($0, policyNamespace: namespace) }
        let peers = chosen.map { matches(of: sets.names(of: $0), direction) }
        guard let ports = rule.ports else { return peers.map { $0.map(\.match) } ?? [[]] }
        var ranges: [IPProtocol: [PortRange]] = [:]
        var whole: Set<IPProtocol> = []
        var found: [[any Statement]] = []
        for port in ports {
            switch port.number {
            case .all: whole.insert(port.transport)
            case .range(let range): ranges[port.transport, default: []].append(range)
            case .named: break
            }
        }
        for (transport, field) in Self.transports {
            let match =
                whole.contains(transport)
                ? Match(.metaL4proto, .proto(transport)) : ranges[transport].map { Self.match(field, $0) }
            guard let match else { continue }
            found += (peers.map { $0.map(\.match) } ?? [[]]).map { $0 + [match] }
        }
        let destinations =
            direction == .egress
            ? sets.pods(of: chosen)
            : sets.pods(of: sets.select([.pods(namespaces: nil, pods: policy.podSelector)], policyNamespace: namespace))
        for port in ports {
            guard case .named(let name) = port.number else { continue }
            found += named(name, port.transport, destinations, direction, peers)
        }
        return found
    }

    // MARK: Cluster-wide policies

    /// What a rule of a policy with this subject matches; empty where it can match nothing.
    mutating func matches(
        of rule: ClusterPolicy.Rule, _ direction: NetworkPolicy.Direction, _ subject: [Int]
    ) -> [[any Statement]] {
        let chosen = sets.select(rule.peers)
        var peers = matches(of: sets.names(of: chosen), direction)
        let patterns = rule.peers.flatMap { peer -> [DomainPattern] in
            if case .domainNames(let patterns) = peer { patterns } else { [] }
        }
        if !patterns.isEmpty { peers += matches(of: sets.names(of: patterns, learntBy: subject), direction) }
        guard let ports = rule.ports else { return peers.map(\.match) }
        var ranges: [IPProtocol: [PortRange]] = [:]
        var names: [String] = []
        for port in ports {
            switch port {
            case .range(let transport, let range): ranges[transport, default: []].append(range)
            case .named(let name): names.append(name)
            }
        }
        var found: [[any Statement]] = []
        for (transport, field) in Self.transports {
            guard let ranges = ranges[transport] else { continue }
            let match = Self.match(field, ranges)
            found += peers.map { $0.match + [match] }
        }
        let destinations = direction == .egress ? sets.pods(of: chosen) : sets.pods(in: subject)
        for name in names {
            for (transport, _) in Self.transports {
                found += named(name, transport, destinations, direction, peers)
            }
        }
        return found
    }

    // MARK: Parts

    private static func match(_ field: Field, _ ranges: [PortRange]) -> Match {
        Match(field, Set(ranges).count == 1 ? .ports(ranges[0]) : .set(ranges.map(Value.ports)))
    }

    /// One match for each family in which the peers have addresses.
    private func matches(of names: PeerSets.Names, _ direction: NetworkPolicy.Direction) -> [FamilyMatch] {
        IPFamily.allCases.compactMap { family in
            (family == .ipv4 ? names.ipv4 : names.ipv6).map { (family, [Match([direction.peer(family)], in: $0)]) }
        }
    }

    /// The matches of a port that is named in the destination pods.
    ///
    /// Its set tells the peers of egress already; those of ingress are the sources.
    private mutating func named(
        _ name: String, _ transport: IPProtocol, _ destinations: [Int], _ direction: NetworkPolicy.Direction,
        _ peers: [FamilyMatch]?
    ) -> [[any Statement]] {
        let port = Self.transports.first { $0.transport == transport }?.port ?? .thDport
        return IPFamily.allCases.flatMap { family -> [[any Statement]] in
            guard let set = sets.name(ofPort: name, transport, in: destinations, family) else { return [] }
            let match: [any Statement] = [Match([family == .ipv4 ? .ipDaddr : .ip6Daddr, port], in: set)]
            guard direction == .ingress, let peers else { return [match] }
            return peers.filter { $0.family == family }.map { $0.match + match }
        }
    }
}
