import Manifests
import NetworkAddresses
package import Nftables

/// Plans what each node does with packets: translation for Services, NetworkPolicies for its own pods.
struct NodePlanner {
    let cluster: Cluster
    let policies: PolicySet

    /// - Parameter boundary: the rules of the way out, which the only node of a lab has itself; nil: a fabric has them.
    func plans(boundary: Table?) -> [NodePlan] {
        let podAddresses = cluster.pods.filter { !$0.spec.hostNetwork }.flatMap(\.addresses)
        return cluster.nodes.map { node in
            let policy = PolicyTable(cluster: cluster, policies: policies, node: node.name)
            let own = cluster.pods.filter { $0.node == node.name }.flatMap(\.addresses)
            let services = ServiceTables(
                cluster.services,
                on: ServiceNode(
                    addresses: node.addresses, ownAddresses: Set(own), podAddresses: podAddresses))
            return NodePlan(
                name: node.name, addresses: node.addresses,
                ruleset: Ruleset(tables: [services.table, policy.table, boundary].compactMap(\.self)),
                dropReasons: policy.dropReasons.merging(services.dropReasons) { own, _ in own },
                nameSets: policy.nameSets)
        }
    }
}

extension NodePlan {
    /// The part of the rules that comes from policies.
    package var policyTable: Table? { ruleset.tables.first { $0.name == PolicyTable.name } }
}
