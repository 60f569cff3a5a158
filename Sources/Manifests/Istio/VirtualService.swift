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

    package struct HTTPMatch: Sendable, Equatable {
        package var name: String?
        package var uri: StringMatch?
        package var method: StringMatch?
        package var scheme: StringMatch?
        package var authority: StringMatch?
        package var headers: [String: StringMatch] = [:]
        package var withoutHeaders: [String: StringMatch] = [:]
        package var queryParams: [String: StringMatch] = [:]
        package var port: UInt16?
        package var sourceLabels: [String: String] = [:]
        package var sourceNamespace: String?
        package var gateways: [String] = []
        package var ignoreUriCase = false

        package init() {}
    }

    package struct Destination: Sendable, Equatable {
        package var host: String
        package var subset: String?
        package var port: UInt16?
        /// Absent: 0 where there are several routes, all where there is one.
        package var weight: Int?
        package var location: SourceLocation

        package init(
            host: String, subset: String? = nil, port: UInt16? = nil, weight: Int? = nil, location: SourceLocation
        ) {
            self.host = host
            self.subset = subset
            self.port = port
            self.weight = weight
            self.location = location
        }
    }

    package struct Retries: Sendable, Equatable {
        package var attempts: Int
        package var perTryTimeoutMs: Int?
        package var retryOn: [String]?

        package init(attempts: Int, perTryTimeoutMs: Int? = nil, retryOn: [String]? = nil) {
            self.attempts = attempts
            self.perTryTimeoutMs = perTryTimeoutMs
            self.retryOn = retryOn
        }
    }

    package struct HTTPRoute: Sendable, Equatable {
        package var name: String?
        /// Empty: matches everything.
        package var match: [HTTPMatch]
        package var route: [Destination]
        package var timeoutMs: Int?
        package var retries: Retries?
        package var location: SourceLocation

        package init(
            name: String? = nil, match: [HTTPMatch] = [], route: [Destination] = [], timeoutMs: Int? = nil,
            retries: Retries? = nil, location: SourceLocation
        ) {
            self.name = name
            self.match = match
            self.route = route
            self.timeoutMs = timeoutMs
            self.retries = retries
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

    package static let kind = "VirtualService"
    package var metadata: ObjectMeta
    package var hosts: [Located<String>]
    /// Default `["mesh"]`.
    package var gateways: [String]
    package var http: [HTTPRoute]
    package var tls: [TLSRoute]
    package var exportTo: [String]

    package init(
        metadata: ObjectMeta, hosts: [Located<String>], gateways: [String] = ["mesh"], http: [HTTPRoute] = [],
        tls: [TLSRoute] = [], exportTo: [String] = ["*"]
    ) {
        self.metadata = metadata
        self.hosts = hosts
        self.gateways = gateways
        self.http = http
        self.tls = tls
        self.exportTo = exportTo
    }
}
