import Manifests
import NetworkAddresses
package import Nftables

/// Plans what each node does with packets: translation for Services, NetworkPolicies for its own pods.
struct NodePlanner {
    let cluster: Cluster
    let policies: PolicySet

    /// - Parameter boundary: the rules of the way out, which the only node of a lab has itself.
    func plans(boundary: Table) -> [NodePlan] {
        let services = ServiceTables(cluster.services).table
        let ownBoundary = cluster.nodes.count == 1 ? boundary : nil
        return cluster.nodes.map { node in
            let policy = PolicyTable(cluster: cluster, policies: policies, node: node.name)
            return NodePlan(
                name: node.name, addresses: node.addresses,
                ruleset: Ruleset(tables: [services, policy.table, ownBoundary].compactMap(\.self)),
                dropReasons: policy.dropReasons, nameSets: policy.nameSets)
        }
    }
}

extension NodePlan {
    /// The part of the rules that comes from policies.
    package var policyTable: Table? { ruleset.tables.first { $0.name == PolicyTable.name } }
}
