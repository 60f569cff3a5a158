/// `istio.alibabacloud.com/ASMEgressTrafficPolicy`: which workloads leave the mesh for which destinations, through which
/// egress gateway (gateway.md §7).
package struct ASMEgressTrafficPolicy: Resource, Equatable {
    /// One element of `from`.
    package struct Client: Sendable, Equatable {
        package var namespace: String
        /// Labels; nil: the whole namespace.
        package var workloadSelector: [String: String]?
        package var location: SourceLocation

        package init(namespace: String, workloadSelector: [String: String]? = nil, location: SourceLocation) {
            self.namespace = namespace
            self.workloadSelector = workloadSelector
            self.location = location
        }
    }

    /// `to[].port`: what clients dial.
    package struct Port: Sendable, Equatable {
        package var name: String
        package var number: UInt16
        package var `protocol`: PortProtocol
        package var location: SourceLocation

        package init(name: String, number: UInt16, protocol: PortProtocol, location: SourceLocation) {
            self.name = name
            self.number = number
            self.protocol = `protocol`
            self.location = location
        }
    }

    /// One element of `to`.
    package struct Destination: Sendable, Equatable {
        package var name: String
        /// One upstream serves them all.
        package var hosts: [Located<String>]
        package var port: Port
        /// `byEgressGateway.port`: the port of the gateway's Service.
        package var gatewayPort: Located<UInt16>
        /// `httpsUpgrade.port` where `enabled`: the gateway speaks TLS to this port.
        package var upgradePort: UInt16?
        package var location: SourceLocation

        package init(
            name: String, hosts: [Located<String>], port: Port, gatewayPort: Located<UInt16>,
            upgradePort: UInt16? = nil, location: SourceLocation
        ) {
            self.name = name
            self.hosts = hosts
            self.port = port
            self.gatewayPort = gatewayPort
            self.upgradePort = upgradePort
            self.location = location
        }
    }

    /// One of `egressRules`.
    package struct Rule: Sendable, Equatable {
        package var from: [Client]
        package var to: [Destination]
        package var location: SourceLocation

        package init(from: [Client], to: [Destination], location: SourceLocation) {
            self.from = from
            self.to = to
            self.location = location
        }
    }

    /// The only namespace in which such policies count.
    package static let namespace = "istio-egress"

    package static let kind = "ASMEgressTrafficPolicy"
    package var metadata: ObjectMeta
    /// `byEgressGateway.name`: the pods in `istio-system` with the label `istio` of that value.
    package var gateway: Located<String>
    package var egressRules: [Rule]

    package init(metadata: ObjectMeta, gateway: Located<String>, egressRules: [Rule]) {
        self.metadata = metadata
        self.gateway = gateway
        self.egressRules = egressRules
    }
}
