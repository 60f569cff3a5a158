import Manifests
import NetworkAddresses
package import Nftables

/// Plans what the node does with packets: translation for Services, NetworkPolicies, the watch at the boundary.
struct NodePlanner {
    let cluster: Cluster
    let policies: [NetworkPolicy]

    func plan() -> NodePlan {
        let policy = PolicyTable(cluster: cluster, policies: policies)
        let tables = [ServiceTables(cluster.services).table, policy.table, Self.boundary]
        return NodePlan(
            name: LabNetwork.nodeName, addresses: LabNetwork.nodeAddresses,
            ruleset: Ruleset(tables: tables.compactMap(\.self)), dropReasons: policy.dropReasons)
    }

    /// Logs what leaves the cluster, after the policies had their say: the first packets of each flow, and whatever
    /// connection tracking can make no sense of.
    private static let boundary = Table(
        name: "egress-lab-boundary",
        chains: [
            Chain(
                "forward", base: BaseChain(type: .filter, hook: .forward, priority: 10), rules: unreachable),
            // Where pods' packets and the node's own come together, after the last choice of a way. The node's neighbour
            // discovery is no flow.
            Chain(
                "postrouting", base: BaseChain(type: .filter, hook: .postrouting, priority: 10),
                rules: [Rule(Match.linkControl, Verdict.return), leaving]),
        ])

    /// The cluster's own addresses are not to be found outside: one that nobody has leads nowhere.
    private static let unreachable: [Rule] = LabNetwork.ranges.map { range in
        Rule(
            Match(.metaOifname, .interface(LabConstants.internetInterface)),
            Match(range.family == .ipv4 ? .ipDaddr : .ip6Daddr, .prefix(range)), Counter(),
            Reject.icmpx(.hostUnreachable))
    }

    private static let leaving = Rule(
        Match(.metaOifname, .interface(LabConstants.internetInterface)),
        Match(.ctState, .ctState(.notKnown)), Counter(),
        Log(
            prefix: "boundary", group: LabConstants.boundaryLogGroup, snaplen: LabConstants.logSnapLength))
}

extension NodePlan {
    /// The part of the rules that comes from policies.
    package var policyTable: Table? { ruleset.tables.first { $0.name == PolicyTable.name } }
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
