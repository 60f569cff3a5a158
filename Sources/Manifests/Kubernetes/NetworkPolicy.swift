package import NetworkAddresses

/// `networking.k8s.io/v1/NetworkPolicy`.
package struct NetworkPolicy: Resource, Equatable {
    package enum Direction: String, Sendable, CaseIterable {
        case ingress = "Ingress"
        case egress = "Egress"
    }

    /// One element of `ingress` or `egress`.
    package struct Rule: Sendable, Equatable {
        /// nil: every peer. An empty list can't occur: the reader makes it nil, as Kubernetes does.
        package var peers: [Peer]?
        /// nil: every port of every protocol.
        package var ports: [Port]?
        package var location: SourceLocation

        package init(peers: [Peer]?, ports: [Port]?, location: SourceLocation) {
            self.peers = peers
            self.ports = ports
            self.location = location
        }
    }

    package enum Peer: Sendable, Equatable {
        /// Pods that match `pods` in namespaces that match `namespaces` (nil: the policy's own).
        case pods(namespaces: LabelSelector?, pods: LabelSelector?)
        case ipBlock(IPPrefix, except: [IPPrefix])
    }

    package struct Port: Sendable, Equatable {
        package enum Number: Sendable, Equatable {
            case all
            case range(PortRange)
            case named(String)
        }

        package var transport: IPProtocol
        package var number: Number
        package var location: SourceLocation

        package init(transport: IPProtocol = .tcp, number: Number, location: SourceLocation) {
            self.transport = transport
            self.number = number
            self.location = location
        }
    }

    package static let kind = "NetworkPolicy"
    package var metadata: ObjectMeta
    package var podSelector: LabelSelector
    /// After Kubernetes' defaulting.
    package var policyTypes: [Direction]
    package var ingress: [Rule]
    package var egress: [Rule]

    package init(
        metadata: ObjectMeta, podSelector: LabelSelector, policyTypes: [Direction], ingress: [Rule] = [],
        egress: [Rule] = []
    ) {
        self.metadata = metadata
        self.podSelector = podSelector
        self.policyTypes = policyTypes
        self.ingress = ingress
        self.egress = egress
    }
}
