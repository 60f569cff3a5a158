package import NetworkAddresses

/// The protocol of a service port, as Istio names it.
package enum PortProtocol: String, Sendable, CaseIterable {
    case http = "HTTP"
    case http2 = "HTTP2"
    case https = "HTTPS"
    case grpc = "GRPC"
    case grpcWeb = "GRPC-Web"
    case tcp = "TCP"
    case tls = "TLS"
    case mongo = "Mongo"
    case mysql = "MySQL"
    case redis = "Redis"
    case udp = "UDP"
    /// Unset or unknown: detected from the first bytes.
    case unspecified = ""

    package var isHTTP: Bool { [.http, .http2, .grpc, .grpcWeb].contains(self) }
    package var isTLS: Bool { self == .tls || self == .https }
    package var isPlainTCP: Bool { [.tcp, .mongo, .mysql, .redis].contains(self) }
}

/// `networking.istio.io/ServiceEntry`.
package struct ServiceEntry: Resource, Equatable {
    package enum Location: String, Sendable {
        case meshExternal = "MESH_EXTERNAL"
        case meshInternal = "MESH_INTERNAL"
    }

    package enum Resolution: String, Sendable {
        case none = "NONE"
        case `static` = "STATIC"
        case dns = "DNS"
        case dnsRoundRobin = "DNS_ROUND_ROBIN"
        case dynamicDNS = "DYNAMIC_DNS"
    }

    package struct Port: Sendable, Equatable {
        package var number: UInt16
        package var name: String
        package var `protocol`: PortProtocol
        package var targetPort: UInt16?
        package var location: SourceLocation

        package init(
            number: UInt16, name: String, protocol: PortProtocol, targetPort: UInt16? = nil, location: SourceLocation
        ) {
            self.number = number
            self.name = name
            self.protocol = `protocol`
            self.targetPort = targetPort
            self.location = location
        }
    }

    package struct Endpoint: Sendable, Equatable {
        /// An IP address or a DNS name.
        package var address: String
        /// By port name.
        package var ports: [String: UInt16]
        package var labels: [String: String]
        package var weight: Int
        /// Makes the endpoint a member of the mesh with this identity.
        package var serviceAccount: String?
        /// `region/zone/subzone`.
        package var locality: String?
        package var network: String?
        package var location: SourceLocation

        package init(
            address: String, ports: [String: UInt16] = [:], labels: [String: String] = [:], weight: Int = 1,
            serviceAccount: String? = nil, locality: String? = nil, network: String? = nil, location: SourceLocation
        ) {
            self.address = address
            self.ports = ports
            self.labels = labels
            self.weight = weight
            self.serviceAccount = serviceAccount
            self.locality = locality
            self.network = network
            self.location = location
        }
    }

    package static let kind = "ServiceEntry"
    package var metadata: ObjectMeta
    package var hosts: [Located<String>]
    package var addresses: [Located<IPPrefix>]
    package var ports: [Port]
    package var meshLocation: Location
    package var resolution: Resolution
    package var endpoints: [Endpoint]
    package var workloadSelector: [String: String]?
    package var exportTo: [String]
    package var subjectAltNames: [String]
    /// nil: whoever `exportTo` means.
    package var audience: WorkloadAudience?

    package init(
        metadata: ObjectMeta, hosts: [Located<String>], addresses: [Located<IPPrefix>] = [], ports: [Port] = [],
        meshLocation: Location = .meshExternal, resolution: Resolution = .none, endpoints: [Endpoint] = [],
        workloadSelector: [String: String]? = nil, exportTo: [String] = ["*"], subjectAltNames: [String] = []
    ) {
        self.metadata = metadata
        self.hosts = hosts
        self.addresses = addresses
        self.ports = ports
        self.meshLocation = meshLocation
        self.resolution = resolution
        self.endpoints = endpoints
        self.workloadSelector = workloadSelector
        self.exportTo = exportTo
        self.subjectAltNames = subjectAltNames
    }
}
