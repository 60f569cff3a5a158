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
    /// Programs in place of containers' images.
    package var images: [ImageStandIn]
    /// nil: everybody may leave the cluster.
    package var boundary: ClusterBoundary?
    /// Nodes beside those that manifests have; none: the one that every lab has.
    package var nodes: [ScenarioNode]
    package var steps: [Step]

    package init(
        name: String, title: String = "", tags: [String] = [], file: String, location: SourceLocation,
        dataPlane: DataPlaneKind = .bundled, mesh: MeshConfig = MeshConfig(), compatibility: Compatibility = .current,
        enforcement: Enforcement = .sidecar, manifests: [any Resource] = [], internet: [InternetHost] = [],
        images: [ImageStandIn] = [], boundary: ClusterBoundary? = nil, nodes: [ScenarioNode] = [], steps: [Step] = []
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
        self.images = images
        self.boundary = boundary
        self.nodes = nodes
        self.steps = steps
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
    /// Asked after the flows.
    package var matrix: Matrix?
    package var commands: [Command]
    package var assertions: [Assertion]

    package init(
        name: String, location: SourceLocation, delete: [Located<ResourceID>] = [], apply: [any Resource] = [],
        set: MeshConfig? = nil, restart: [Located<WorkloadReference>] = [], flows: [Flow] = [],
        matrix: Matrix? = nil, commands: [Command] = [], assertions: [Assertion] = []
    ) {
        self.name = name
        self.location = location
        self.delete = delete
        self.apply = apply
        self.set = set
        self.restart = restart
        self.flows = flows
        self.matrix = matrix
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
