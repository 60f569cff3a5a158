import Manifests
import Mesh
import NetworkAddresses
import Nftables
import Testing

/// A cluster from YAML, for tests.
struct KubernetesFixture {
    var planner: LabPlanner
    var resources = ResourceSet()
    var mesh: MeshConfig

    init(
        _ yaml: String, internet: [InternetHost] = [], flows: [Flow] = [], mesh: MeshConfig = MeshConfig(),
        images: [ImageStandIn] = [], boundary: ClusterBoundary? = nil
    ) {
        let location = SourceLocation(file: "scenario.yaml")
        let step = Step(name: "only", location: location, flows: flows)
        planner = LabPlanner(
            scenario: Scenario(
                name: "test", file: "scenario.yaml", location: location,
                manifests: ManifestReader.read(text: yaml, file: "test.yaml").value, internet: internet,
                images: images, boundary: boundary, steps: [step]))
        self.mesh = mesh
        apply(yaml)
    }

    mutating func apply(_ yaml: String) {
        let read = ManifestReader.read(text: yaml, file: "test.yaml")
        #expect(read.isUsable, "\(read.diagnostics)")
        for resource in read.value { resources.apply(resource) }
    }

    mutating func delete(_ kind: String, _ namespace: String, _ name: String) {
        let isDeleted = resources.delete(ResourceID(kind: kind, namespace: namespace, name: name))
        #expect(isDeleted)
    }

    mutating func planAndDiagnose(restarted: [WorkloadReference] = []) -> (LabPlan, [Diagnostic]) {
        let (config, _) = meshConfig(of: resources)
        return planner.plan(resources: resources, mesh: config.overlaid(by: mesh), restarted: restarted)
    }

    mutating func plan(restarted: [WorkloadReference] = []) -> LabPlan {
        let (plan, diagnostics) = planAndDiagnose(restarted: restarted)
        #expect(diagnostics.allSatisfy { $0.severity < .unsupported }, "\(diagnostics)")
        return plan
    }

    static func plan(_ yaml: String, mesh: MeshConfig = MeshConfig()) -> LabPlan {
        var fixture = KubernetesFixture(yaml, mesh: mesh)
        return fixture.plan()
    }

    static func namespace(_ name: String, _ labels: String = "{}") -> String {
        "{apiVersion: v1, kind: Namespace, metadata: {name: \(name), labels: \(labels)}}\n---\n"
    }

    static func pod(
        _ name: String, namespace: String = "default", labels: String = "{}", annotations: String = "{}",
        ports: String = "[]", spec: String = ""
    ) -> String {
        """
        apiVersion: v1
        kind: Pod
        metadata: {name: \(name), namespace: \(namespace), labels: \(labels), annotations: \(annotations)}
        spec:
          containers: [{name: main, image: main, ports: \(ports)}]
          \(spec)
        ---

        """
    }
}

extension LabPlan {
    /// The first node, which is the only one where the manifests name none.
    var node: NodePlan { nodes[0] }

    func pod(_ name: String, in namespace: String = "default") -> PodPlan? {
        pods.first { $0.pod.id == PodID(namespace: namespace, name: name) }
    }
}
