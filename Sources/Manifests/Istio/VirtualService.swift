package import NetworkAddresses

/// `networking.istio.io/VirtualService`.
package struct VirtualService: Resource, Equatable {
    package enum StringMatch: Sendable, Equatable {
        case exact(String)
        case prefix(String)
        case regex(String)
        /// An empty match: the header is there.
        case present
    }

    package struct Destination: Sendable, Equatable {
        package var host: String
        package var subset: String?
        package var port: UInt16?
        /// Absent: 0 where there are several routes, all where there is one.
        package var weight: Int?
        /// Of HTTP routes only.
        package var headers: HeaderOperations?
        package var location: SourceLocation

        package init(
            host: String, subset: String? = nil, port: UInt16? = nil, weight: Int? = nil,
            headers: HeaderOperations? = nil, location: SourceLocation
        ) {
            self.host = host
            self.subset = subset
            self.port = port
            self.weight = weight
            self.headers = headers
            self.location = location
        }
    }

    package struct TLSMatch: Sendable, Equatable {
        package var sniHosts: [String]
        package var destinationSubnets: [IPPrefix] = []
        package var port: UInt16?
        package var sourceLabels: [String: String] = [:]
        package var sourceNamespace: String?
        package var gateways: [String] = []
        /// nil where no manifest has it.
        package var location: SourceLocation?

        package init(sniHosts: [String]) { self.sniHosts = sniHosts }
    }

    package struct TLSRoute: Sendable, Equatable {
        package var match: [TLSMatch]
        package var route: [Destination]
        package var location: SourceLocation

        package init(match: [TLSMatch], route: [Destination], location: SourceLocation) {
            self.match = match
            self.route = route
            self.location = location
        }
    }

    package struct TCPMatch: Sendable, Equatable {
        package var destinationSubnets: [IPPrefix] = []
        package var port: UInt16?
        package var sourceLabels: [String: String] = [:]
        package var sourceNamespace: String?
        package var gateways: [String] = []

        package init() {}
    }

    package struct TCPRoute: Sendable, Equatable {
        /// Empty: matches everything.
        package var match: [TCPMatch]
        package var route: [Destination]
        package var location: SourceLocation

        package init(match: [TCPMatch] = [], route: [Destination], location: SourceLocation) {
            self.match = match
            self.route = route
            self.location = location
        }
    }

    package static let kind = "VirtualService"
    package var metadata: ObjectMeta
    package var hosts: [Located<String>]
    /// `mesh`, `name` in the own namespace, or `namespace/name`. Default `["mesh"]`.
    package var gateways: [Located<String>]
    package var http: [HTTPRoute]
    package var tls: [TLSRoute]
    package var tcp: [TCPRoute]
    package var exportTo: [String]
    /// nil: whoever `exportTo` means.
    package var audience: WorkloadAudience?

    package init(
        metadata: ObjectMeta, hosts: [Located<String>], gateways: [Located<String>]? = nil, http: [HTTPRoute] = [],
        tls: [TLSRoute] = [], tcp: [TCPRoute] = [], exportTo: [String] = ["*"]
    ) {
        self.metadata = metadata
        self.hosts = hosts
        self.gateways = gateways ?? [Located("mesh", at: metadata.location)]
        self.http = http
        self.tls = tls
        self.tcp = tcp
        self.exportTo = exportTo
    }
}
