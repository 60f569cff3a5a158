package import Manifests
package import NetworkAddresses

/// A cluster as policies see it: who exists, with which labels and addresses, and what the policies say.
package struct PolicyWorld: Sendable {
    package struct Pod: Sendable, Hashable {
        package struct Port: Sendable, Hashable {
            package var name: String
            package var transport: IPProtocol
            package var number: UInt16

            package init(name: String, transport: IPProtocol, number: UInt16) {
                self.name = name
                self.transport = transport
                self.number = number
            }
        }

        package var namespace: String
        package var name: String
        package var labels: [String: String]
        package var addresses: [IPAddress]
        /// The named ports of its containers.
        package var ports: [Port]
        package var node: String

        package init(
            namespace: String, name: String, labels: [String: String], addresses: [IPAddress], ports: [Port] = [],
            node: String
        ) {
            self.namespace = namespace
            self.name = name
            self.labels = labels
            self.addresses = addresses
            self.ports = ports
            self.node = node
        }
    }

    package struct Node: Sendable, Hashable {
        package var name: String
        package var labels: [String: String]
        package var addresses: [IPAddress]

        package init(name: String, labels: [String: String], addresses: [IPAddress]) {
            self.name = name
            self.labels = labels
            self.addresses = addresses
        }
    }

    /// An address that a pod learnt by a lookup.
    package struct LearntAddress: Sendable, Hashable {
        package var pod: IPAddress
        /// As it was asked for, without the final dot.
        package var name: String
        package var address: IPAddress

        package init(pod: IPAddress, name: String, address: IPAddress) {
            self.pod = pod
            self.name = name
            self.address = address
        }
    }

    /// Labels by name.
    package var namespaces: [String: [String: String]]
    /// Those with a network of their own: pods on a node's network are the node, as far as policies can tell.
    package var pods: [Pod]
    package var nodes: [Node]
    package var networkPolicies: [NetworkPolicy]
    package var clusterPolicies: [ClusterPolicy]
    /// What is known now.
    package var learnt: Set<LearntAddress> = []

    package init(
        namespaces: [String: [String: String]], pods: [Pod], nodes: [Node], networkPolicies: [NetworkPolicy] = [],
        clusterPolicies: [ClusterPolicy] = []
    ) {
        self.namespaces = namespaces
        self.pods = pods
        self.nodes = nodes
        self.networkPolicies = networkPolicies
        self.clusterPolicies = clusterPolicies
    }
}

/// The packet that opens a flow, as the source's node sees it: after its translation of Services, before any masquerade.
package struct PolicyPacket: Sendable, Hashable {
    package var transport: IPProtocol
    package var source: IPAddress
    /// The port is of no account where the protocol has none.
    package var destination: IPEndpoint
    /// It was sent to a Service's address.
    package var isTranslated: Bool
    /// What the destination's node sees of it, where that is something else: another node translated it on the way, or
    /// put its own address in the source's place.
    package var arrival: Arrival?

    /// The packet at the end of its way.
    package struct Arrival: Sendable, Hashable {
        package var source: IPAddress
        package var destination: IPEndpoint

        package init(source: IPAddress, destination: IPEndpoint) {
            self.source = source
            self.destination = destination
        }
    }

    package init(
        transport: IPProtocol, source: IPAddress, destination: IPEndpoint, isTranslated: Bool = false,
        arrival: Arrival? = nil
    ) {
        self.transport = transport
        self.source = source
        self.destination = destination
        self.isTranslated = isTranslated
        self.arrival = arrival
    }
}
