package import Manifests

/// The objects and the mesh configuration of a cluster while both are being changed.
package struct ClusterState: Sendable {
    /// Something laid over the mesh configuration that the cluster's objects give; the latest wins.
    private enum Overlay {
        case values(MeshConfig)
        /// An object applied after other values had been set: it wins over them as long as it exists.
        case object(ResourceID)
    }

    package private(set) var resources = ResourceSet()
    private var overlays: [Overlay] = []

    /// A cluster that holds the scenario's manifests.
    package init(_ scenario: Scenario) {
        for resource in scenario.manifests { resources.apply(resource) }
        overlays.append(.values(scenario.mesh))
    }

    /// Creates or replaces an object.
    package mutating func apply(_ resource: any Resource) {
        resources.apply(resource)
        if resource is ConfigMap || resource is IstioOperator { overlays.append(.object(resource.id)) }
    }

    /// Removes an object, and with a namespace all that is in it; false when there was none.
    package mutating func delete(_ id: ResourceID) -> Bool {
        guard id.kind == Namespace.kind else { return resources.delete(id) }
        let contents = resources.all.filter { $0.metadata.namespace == id.name && $0.id.kind != Namespace.kind }
        for resource in contents { resources.delete(resource.id) }
        // A namespace that objects name exists, even where no manifest makes it.
        return resources.delete(id) || !contents.isEmpty
    }

    /// Lays values over the mesh configuration.
    package mutating func set(_ values: MeshConfig) { overlays.append(.values(values)) }

    /// The mesh configuration that is in force, and what is to be said about where it comes from.
    package func mesh() -> (config: MeshConfig, diagnostics: [Diagnostic]) {
        let (config, diagnostics) = meshConfig(of: resources)
        let root = config.rootNamespace ?? "istio-system"
        let mesh = overlays.reduce(config) { mesh, overlay in
            switch overlay {
            case .values(let values): mesh.overlaid(by: values)
            case .object(let id): values(of: id, root: root).map(mesh.overlaid) ?? mesh
            }
        }
        return (mesh, diagnostics)
    }

    private func values(of id: ResourceID, root: String) -> MeshConfig? {
        if id.kind == IstioOperator.kind {
            return resources.resource(IstioOperator.self, id.namespace, id.name)?.meshConfig
        }
        return id.namespace == root ? resources.resource(ConfigMap.self, id.namespace, id.name)?.meshConfig : nil
    }
}
