package import NetworkAddresses

/// Everything one proxy does, in Envoy's terms: what a control plane would send it.
///
/// A value: equal configurations give equal behaviour. `render --what proxy` prints it as JSON and `proxy --config`
/// reads that JSON back.
package struct ProxyConfiguration: Codable, Equatable, Sendable {
    package var node: ProxyNode
    package var listeners: [Listener]
    package var routes: [RouteConfiguration]
    package var clusters: [Cluster]
    /// Each writes its own lines. Structured records are always handed to the lab.
    package var accessLogs: [AccessLogConfiguration]
    /// The logs of what comes in, where they are others; nil: `accessLogs`.
    package var inboundAccessLogs: [AccessLogConfiguration]?
    /// The DNS servers for clusters that resolve names; asked as the proxy's own user.
    package var nameservers: [IPEndpoint]
    /// What TLS contexts refer to by name; a running lab adds those of its own authorities.
    package var secrets: [ProxySecret]?

    package init(
        node: ProxyNode, listeners: [Listener] = [], routes: [RouteConfiguration] = [], clusters: [Cluster] = [],
        accessLogs: [AccessLogConfiguration] = [], nameservers: [IPEndpoint] = [], secrets: [ProxySecret]? = nil
    ) {
        self.node = node
        self.listeners = listeners
        self.routes = routes
        self.clusters = clusters
        self.accessLogs = accessLogs
        self.nameservers = nameservers
        self.secrets = secrets
    }
}

extension ProxyConfiguration {
    /// The logs of connections of listeners of one direction.
    package func accessLogs(of direction: Listener.TrafficDirection) -> [AccessLogConfiguration] {
        direction == .inbound ? inboundAccessLogs ?? accessLogs : accessLogs
    }

    /// False where no line is ever written.
    package var writesAccessLog: Bool { !accessLogs(of: .outbound).isEmpty || !accessLogs(of: .inbound).isEmpty }
}

/// Who the proxy is.
package struct ProxyNode: Codable, Equatable, Sendable {
    /// What part a proxy plays in a flow's path.
    package enum Role: String, Codable, Sendable {
        case sidecar
        case gateway
        case sniProxy = "sni-proxy"
    }

    /// As Istio names nodes: `sidecar~10.244.0.5~sleep-1.default~default.svc.cluster.local`.
    package var id: String
    package var role: Role
    package var namespace: String
    package var pod: String
    package var workload: String
    package var labels: [String: String]
    package var serviceAccount: String
    /// Of the proxy's SPIFFE identity; nil is `cluster.local`.
    package var trustDomain: String?

    package init(
        id: String, role: Role, namespace: String, pod: String, workload: String, labels: [String: String] = [:],
        serviceAccount: String = "default", trustDomain: String? = nil
    ) {
        self.id = id
        self.role = role
        self.namespace = namespace
        self.pod = pod
        self.workload = workload
        self.labels = labels
        self.serviceAccount = serviceAccount
        self.trustDomain = trustDomain
    }
}

/// Where a piece of configuration comes from in the user's manifests: `ServiceEntry default/cnn, serviceentry.yaml:14`.
/// nil where the piece is built in.
package typealias ConfigurationOrigin = String

/// In which form access-log lines are written.
package struct AccessLogConfiguration: Codable, Equatable, Sendable {
    package enum Format: Codable, Equatable, Sendable {
        /// A line of Envoy's command operators; `\n` at the end is added if missing.
        case text(String)
        /// An object whose values are command operators.
        case json([String: String])
    }

    /// Of the file in the proxy's container; the lab keeps the lines under this name.
    package var path: String
    package var format: Format
    /// What must be true for a line to be written, in the Common Expression Language.
    package var filter: String?

    package init(path: String = "/dev/stdout", format: Format, filter: String? = nil) {
        self.path = path
        self.format = format
        self.filter = filter
    }

    /// The texts that have command operators.
    package var formats: [String] {
        switch format {
        case .text(let text): [text]
        case .json(let members): members.sorted { $0.key < $1.key }.map(\.value)
        }
    }
}

/// A line of what a proxy writes.
package struct ProxyLogLine: Sendable, Equatable {
    /// Of the access log that it is one of; nil: of the proxy's own log.
    package var path: String?
    /// Without its newline.
    package var text: String

    package init(path: String?, text: String) { (self.path, self.text) = (path, text) }
}
