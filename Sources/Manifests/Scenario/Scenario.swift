package import NetworkAddresses

/// `egress-lab.dev/v1/Scenario`: what to build, what to send and what to expect.
package struct Scenario: Sendable {
    package enum Compatibility: String, Sendable, Codable {
        case current
        case istio10 = "istio-1.0"
    }

    /// What must have handled a flow that leaves the cluster.
    package enum Enforcement: String, Sendable, Codable { case sidecar, gateway, none }

    package enum DataPlaneKind: String, Sendable, Codable, CaseIterable { case bundled, envoy }

    package var name: String
    package var title: String
    package var tags: [String]
    /// The scenario file, as the user named it.
    package var file: String
    package var location: SourceLocation
    package var dataPlane: DataPlaneKind
    package var mesh: MeshConfig
    package var compatibility: Compatibility
    package var enforcement: Enforcement
    /// What `manifests` holds, already read, in order.
    package var manifests: [any Resource]
    package var internet: [InternetHost]
    package var steps: [Step]

    package init(
        name: String, title: String = "", tags: [String] = [], file: String, location: SourceLocation,
        dataPlane: DataPlaneKind = .bundled, mesh: MeshConfig = MeshConfig(), compatibility: Compatibility = .current,
        enforcement: Enforcement = .sidecar, manifests: [any Resource] = [], internet: [InternetHost] = [],
        steps: [Step] = []
    ) {
        self.name = name
        self.title = title
        self.tags = tags
        self.file = file
        self.location = location
        self.dataPlane = dataPlane
        self.mesh = mesh
        self.compatibility = compatibility
        self.enforcement = enforcement
        self.manifests = manifests
        self.internet = internet
        self.steps = steps
    }
}

/// Servers outside the cluster: names, their addresses, and what listens on which port.
package struct InternetHost: Sendable, Equatable, Codable {
    /// What a declared port speaks.
    package enum PortKind: String, Sendable, Codable {
        case http = "HTTP"
        case https = "HTTPS"
        case tcp = "TCP"
        case udp = "UDP"
        case tls = "TLS"
    }

    /// What answers there.
    package enum App: String, Sendable, Codable, CaseIterable {
        case httpbin
        case redirectToHTTPS = "redirect-to-https"
        case echo
        /// Speaks first, as SMTP and SSH servers do: `220 ready`, then echo.
        case banner
    }

    package struct Port: Sendable, Equatable, Codable {
        package var number: UInt16
        package var kind: PortKind
        package var app: App

        package init(number: UInt16, kind: PortKind, app: App) {
            self.number = number
            self.kind = kind
            self.app = app
        }
    }

    /// Exact names, or `*.suffix`.
    package var hosts: [String]
    package var addresses: [IPAddress]
    package var ports: [Port]

    package init(hosts: [String], addresses: [IPAddress], ports: [Port] = []) {
        self.hosts = hosts
        self.addresses = addresses
        self.ports = ports
    }
}

/// One step: changes to the cluster, then traffic, then assertions.
package struct Step: Sendable {
    package var name: String
    package var location: SourceLocation
    package var delete: [Located<ResourceID>]
    package var apply: [any Resource]
    /// `set.outboundTrafficPolicy`: laid over the mesh configuration from this step on.
    package var set: MeshConfig?
    package var restart: [Located<WorkloadReference>]
    package var flows: [Flow]
    package var commands: [Command]
    package var assertions: [Assertion]

    package init(
        name: String, location: SourceLocation, delete: [Located<ResourceID>] = [], apply: [any Resource] = [],
        set: MeshConfig? = nil, restart: [Located<WorkloadReference>] = [], flows: [Flow] = [],
        commands: [Command] = [], assertions: [Assertion] = []
    ) {
        self.name = name
        self.location = location
        self.delete = delete
        self.apply = apply
        self.set = set
        self.restart = restart
        self.flows = flows
        self.commands = commands
        self.assertions = assertions
    }
}

/// `namespace/workload` or `namespace/pod`, with a container where one is named: `default/sleep:sleep`.
package struct WorkloadReference: Hashable, Sendable, Codable, CustomStringConvertible {
    package var namespace: String
    package var name: String
    package var container: String?

    package init(namespace: String, name: String, container: String? = nil) {
        self.namespace = namespace
        self.name = name
        self.container = container
    }

    package var description: String { "\(namespace)/\(name)" + (container.map { ":\($0)" } ?? "") }
}
