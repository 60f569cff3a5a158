import Manifests
import NetworkAddresses
import Nftables

/// Plans what happens to packets where they leave the cluster: its firewall, if the scenario has one, and the watch.
struct BoundaryPlanner {
    let cluster: Cluster
    /// nil: everybody may leave.
    let boundary: ClusterBoundary?
    /// The name of the scenario.
    let scenario: String
    /// The cluster's addresses beside the usual ones: what a dump gives pods and Services.
    let givenAddresses: IPPrefixSet

    private static let firewallChain = "firewall"
    private static let outward = Match(.metaOifname, .interface(LabConstants.internetInterface))

    /// Logs what leaves the cluster, after the policies had their say: the first packets of each flow, and whatever
    /// connection tracking can make no sense of.
    var table: Table {
        let guarding = boundary == nil ? [] : [Rule(Self.outward, Verdict.jump(Self.firewallChain))]
        return Table(
            name: "egress-lab-boundary", sets: allowed,
            chains: [
                Chain(
                    "forward", base: BaseChain(type: .filter, hook: .forward, priority: 10), rules: unreachable),
                // Where pods' packets and the node's own come together, after the last choice of a way and before any
                // source is translated. The neighbour discovery of the link is no flow.
                Chain(
                    "postrouting", base: BaseChain(type: .filter, hook: .postrouting, priority: 10),
                    rules: [Rule(Match.linkControl, Verdict.return)] + guarding + [Self.leaving]),
            ] + (boundary == nil ? [] : [firewall]))
    }

    /// What the log of the firewall's drops means.
    var firewallPlan: FirewallPlan? {
        guard let boundary else { return nil }
        var owners: [IPAddress: String] = [:]
        for node in cluster.nodes { for address in node.addresses { owners[address] = "node/\(node.name)" } }
        for pod in cluster.pods where !pod.spec.hostNetwork {
            for address in pod.addresses { owners[address] = "\(pod.id)" }
        }
        return FirewallPlan(
            origin: Origin(
                kind: "Scenario", namespace: "", name: scenario, field: "spec.boundary", location: boundary.location),
            owners: owners)
    }

    /// The cluster's own addresses are not to be found outside: one that nobody has leads nowhere.
    private var unreachable: [Rule] {
        LabNetwork.ranges(nodeAddresses: cluster.nodes.flatMap(\.addresses)).map { range in
            Rule(
                Self.outward, Match(range.family == .ipv4 ? .ipDaddr : .ip6Daddr, .prefix(range)), Counter(),
                Reject.icmpx(.hostUnreachable))
        }
            + IPFamily.allCases.compactMap { family in
                let given = givenAddresses.restricted(to: family)
                guard !given.isEmpty else { return nil }
                return Rule(
                    Self.outward,
                    Match(family == .ipv4 ? .ipDaddr : .ip6Daddr, .set(given.ranges.map(Value.addresses))), Counter(),
                    Reject.icmpx(.hostUnreachable))
            }
    }

    private static let leaving = Rule(
        outward, Match(.ctState, .ctState(.notKnown)), Counter(),
        Log(
            prefix: "boundary", group: LabConstants.boundaryLogGroup, snaplen: LabConstants.logSnapLength))

    // MARK: Firewall

    /// Who may go out, by the addresses that pods and nodes have themselves.
    private var allowed: [NamedSet] {
        guard let boundary else { return [] }
        let addresses = Set(boundary.allowFrom.flatMap { self.addresses(of: $0.value) }).sorted()
        return IPFamily.allCases.map { family in
            NamedSet(
                name: Self.allowedSet(family), keys: [family == .ipv4 ? .ipv4Address : .ipv6Address],
                elements: addresses.filter { $0.family == family }.map { SetElement(.address($0)) })
        }
    }

    private static func allowedSet(_ family: IPFamily) -> String { family == .ipv4 ? "allowed" : "allowed6" }

    private func addresses(of source: ClusterBoundary.Source) -> [IPAddress] {
        switch source {
        case .workload(let reference):
            cluster.pods.filter { $0.isReferred(by: reference) }.flatMap(\.addresses)
        case .node(let name):
            cluster.nodes.filter { $0.name == name }.flatMap(\.addresses)
                + cluster.pods.filter { $0.node == name }.flatMap(\.addresses)
        }
    }

    /// Answers to what was let in or out pass; of what begins a flow, only what comes from those allowed.
    private var firewall: Chain {
        Chain(
            Self.firewallChain,
            rules: [
                Rule(Match(.ctState, .ctState([.established, .related])), Verdict.return),
                Rule(Match([.ipSaddr], in: Self.allowedSet(.ipv4)), Verdict.return),
                Rule(Match([.ip6Saddr], in: Self.allowedSet(.ipv6)), Verdict.return),
                Rule(
                    Counter(),
                    Log(
                        prefix: LabConstants.firewallPrefix, group: LabConstants.dropLogGroup,
                        snaplen: LabConstants.logSnapLength)),
                Rule(Counter(), Verdict.drop),
            ])
    }
}

extension Match {
    /// ICMPv6 that keeps a link going: neighbour and router discovery, multicast listeners.
    static let linkControl = Match(
        .icmpv6Type, .set([130, 131, 132, 133, 134, 135, 136, 137, 143].map(Value.icmp)))
}

extension CTState {
    /// Every state but established and related, so that no flow gets by unlogged.
    static let notKnown: CTState = [.invalid, .new, .untracked]
}
