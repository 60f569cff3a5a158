import Manifests
import NetworkAddresses
import Nftables

/// Plans what the node does with packets: translation for Services, NetworkPolicies, the watch at the boundary.
struct NodePlanner {
    let cluster: Cluster
    let policies: [NetworkPolicy]

    func plan() -> (NodePlan, [Diagnostic]) {
        let policy = PolicyTable(cluster: cluster, policies: policies)
        let tables = [ServiceTables(cluster.services).table, policy.table, Self.boundary]
        let plan = NodePlan(
            name: LabNetwork.nodeName, addresses: LabNetwork.nodeAddresses,
            ruleset: Ruleset(tables: tables.compactMap(\.self)), dropReasons: policy.dropReasons)
        return (plan, policy.diagnostics)
    }

    /// Logs what leaves the cluster, after the policies had their say: the first packets of each flow, and whatever
    /// connection tracking can make no sense of.
    private static let boundary = Table(
        name: "egress-lab-boundary",
        chains: [
            Chain(
                "forward", base: BaseChain(type: .filter, hook: .forward, priority: 10),
                rules: [leaving]),
            // The node's own calls leave too; its neighbour discovery is no flow.
            Chain(
                "output", base: BaseChain(type: .filter, hook: .output, priority: 10),
                rules: [Rule(Match.linkControl, Verdict.return), leaving]),
        ])

    private static let leaving = Rule(
        Match(.metaOifname, .interface(LabConstants.internetInterface)),
        Match(.ctState, .ctState(.notKnown)), Counter(),
        Log(
            prefix: "boundary", group: LabConstants.boundaryLogGroup, snaplen: LabConstants.logSnapLength))
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
