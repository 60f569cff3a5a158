import Mesh
package import Netlink
package import NetworkAddresses

/// A node of a running lab: its namespace and what its rules' log means.
package struct RunningNode: Sendable {
    package let name: String
    package let addresses: [IPAddress]
    package let namespace: NetworkNamespace
    /// What reports and files call it: `node` where it is the only one, else `node/NAME`.
    package let place: String
    let dropReasons: DropReasons

    /// Makes the nodes of a plan, without links.
    static func make(_ plans: [NodePlan]) throws -> [RunningNode] {
        try plans.map { try RunningNode($0, place: plans.count == 1 ? "node" : "node/\($0.name)") }
    }

    /// Makes a node, without links.
    init(_ plan: NodePlan, place: String) throws {
        self.place = place
        name = plan.name
        addresses = plan.addresses
        namespace = try NetworkNamespace.create()
        dropReasons = DropReasons(at: place)
    }
}

extension [RunningNode] {
    package subscript(named name: String) -> RunningNode? { first { $0.name == name } }
}
