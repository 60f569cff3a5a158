/// `TrafficPolicy` of a DestinationRule: how connections to a destination are made.
package struct TrafficPolicy: Sendable, Equatable {
    package enum SimpleLoadBalancer: String, Sendable, CaseIterable {
        case unspecified = "UNSPECIFIED"
        case leastConnection = "LEAST_CONN"
        case random = "RANDOM"
        case passthrough = "PASSTHROUGH"
        case roundRobin = "ROUND_ROBIN"
        case leastRequest = "LEAST_REQUEST"
    }

    /// `LoadBalancerSettings`: one of `simple` and `consistentHash`.
    package enum LoadBalancer: Sendable, Equatable {
        case simple(SimpleLoadBalancer)
        case consistentHash(ConsistentHash)
    }

    /// `ConsistentHashLB`: the same host for the same client, by what it sends.
    package struct ConsistentHash: Sendable, Equatable {
        package enum Key: Sendable, Equatable {
            case header(String)
            /// With a time to live, clients without the cookie are given one.
            case cookie(name: String, path: String, ttlMs: Int?)
            case sourceIP
            case queryParameter(String)
        }

        package enum Algorithm: Sendable, Equatable {
            /// nil: Envoy's 1024.
            case ringHash(minimumRingSize: Int?)
            /// nil: Envoy's 65537.
            case maglev(tableSize: Int?)
        }

        /// nil: `useSourceIp: false`, which leaves the choice to chance.
        package var key: Key?
        package var algorithm: Algorithm

        package init(key: Key?, algorithm: Algorithm = .ringHash(minimumRingSize: nil)) {
            self.key = key
            self.algorithm = algorithm
        }
    }

    package struct ConnectionPool: Sendable, Equatable {
        package struct KeepAlive: Sendable, Equatable {
            package var probes: Int?
            package var timeMs: Int?
            package var intervalMs: Int?

            package init(probes: Int? = nil, timeMs: Int? = nil, intervalMs: Int? = nil) {
                self.probes = probes
                self.timeMs = timeMs
                self.intervalMs = intervalMs
            }
        }

        package enum H2Upgrade: String, Sendable, CaseIterable {
            case `default` = "DEFAULT"
            case doNotUpgrade = "DO_NOT_UPGRADE"
            case upgrade = "UPGRADE"
        }

        // `tcp`
        package var maxConnections: Int?
        package var connectTimeoutMs: Int?
        package var tcpKeepalive: KeepAlive?
        package var maxConnectionDurationMs: Int?
        package var tcpIdleTimeoutMs: Int?
        // `http`
        package var http1MaxPendingRequests: Int?
        package var http2MaxRequests: Int?
        package var maxRequestsPerConnection: Int?
        package var maxRetries: Int?
        package var httpIdleTimeoutMs: Int?
        package var h2UpgradePolicy: H2Upgrade?
        package var useClientProtocol: Bool?
        package var maxConcurrentStreams: Int?

        package init() {}
    }

    package struct OutlierDetection: Sendable, Equatable {
        package var consecutive5xxErrors: Int?
        package var consecutiveGatewayErrors: Int?
        package var consecutiveLocalOriginFailures: Int?
        package var splitExternalLocalOriginErrors: Bool?
        package var intervalMs: Int?
        package var baseEjectionTimeMs: Int?
        package var maxEjectionPercent: Int?
        package var minHealthPercent: Int?

        package init() {}
    }

    package var loadBalancer: Located<LoadBalancer>?
    package var connectionPool: ConnectionPool?
    package var outlierDetection: OutlierDetection?
    package var tls: ClientTLSSettings?
    /// Each replaces the whole policy for its port.
    package var portLevelSettings: [PortTrafficPolicy]
    package var location: SourceLocation

    package init(
        loadBalancer: Located<LoadBalancer>? = nil, connectionPool: ConnectionPool? = nil,
        outlierDetection: OutlierDetection? = nil, tls: ClientTLSSettings? = nil,
        portLevelSettings: [PortTrafficPolicy] = [], location: SourceLocation
    ) {
        self.loadBalancer = loadBalancer
        self.connectionPool = connectionPool
        self.outlierDetection = outlierDetection
        self.tls = tls
        self.portLevelSettings = portLevelSettings
        self.location = location
    }

    /// What holds for a port of a subset: a port's own settings replace the policy that they stand in, a subset's
    /// policy replaces the rule's block by block.
    package static func effective(
        rule: TrafficPolicy?, subset: TrafficPolicy? = nil, port: UInt16
    ) -> TrafficPolicy? {
        let base = rule?.own(for: port) ?? rule?.withoutPorts
        guard let subset else { return base }
        if let own = subset.own(for: port) { return own }
        guard var result = base else { return subset.withoutPorts }
        result.loadBalancer = subset.loadBalancer ?? result.loadBalancer
        result.connectionPool = subset.connectionPool ?? result.connectionPool
        result.outlierDetection = subset.outlierDetection ?? result.outlierDetection
        result.tls = subset.tls ?? result.tls
        return result
    }

    private func own(for port: UInt16) -> TrafficPolicy? { portLevelSettings.first { $0.port == port }?.policy }

    private var withoutPorts: TrafficPolicy {
        var result = self
        result.portLevelSettings = []
        return result
    }
}

/// One element of `portLevelSettings`.
package struct PortTrafficPolicy: Sendable, Equatable {
    package var port: UInt16
    /// Without `portLevelSettings` of its own.
    package var policy: TrafficPolicy

    package init(port: UInt16, policy: TrafficPolicy) {
        self.port = port
        self.policy = policy
    }
}

/// `ClientTLSSettings`: TLS that a proxy originates towards a destination.
package struct ClientTLSSettings: Sendable, Equatable {
    package enum Mode: String, Sendable, CaseIterable {
        case disable = "DISABLE"
        case simple = "SIMPLE"
        case mutual = "MUTUAL"
        case istioMutual = "ISTIO_MUTUAL"
    }

    package var mode: Located<Mode>
    package var sni: String?
    /// Files in the proxy's container.
    package var clientCertificate: Located<String>?
    package var privateKey: Located<String>?
    package var caCertificates: Located<String>?
    /// A Secret in the proxy's namespace.
    package var credentialName: Located<String>?
    /// nil: the ServiceEntry's, else what the proxy concludes from the request; empty: no check was asked for.
    package var subjectAltNames: [String]?
    package var insecureSkipVerify: Bool
    package var location: SourceLocation

    package init(
        mode: Located<Mode>, sni: String? = nil, clientCertificate: Located<String>? = nil,
        privateKey: Located<String>? = nil, caCertificates: Located<String>? = nil,
        credentialName: Located<String>? = nil, subjectAltNames: [String]? = nil, insecureSkipVerify: Bool = false,
        location: SourceLocation
    ) {
        self.mode = mode
        self.sni = sni
        self.clientCertificate = clientCertificate
        self.privateKey = privateKey
        self.caCertificates = caCertificates
        self.credentialName = credentialName
        self.subjectAltNames = subjectAltNames
        self.insecureSkipVerify = insecureSkipVerify
        self.location = location
    }
}
