import Manifests
import Mesh
import Nftables
import Testing

/// What decides on a sidecar, and whether there is one.
struct InjectionCase: CustomTestStringConvertible, Sendable {
    var testDescription: String
    var namespace = "default"
    var namespaceLabels = "{}"
    var labels = "{}"
    var annotations = "{}"
    var byDefault: Bool?
    var hasSidecar: Bool

    private static let yes = "{sidecar.istio.io/inject: \"true\"}"
    private static let no = "{sidecar.istio.io/inject: \"false\"}"
    private static let enabled = "{istio-injection: enabled}"

    static let all: [InjectionCase] = [
        .init(testDescription: "nothing said", hasSidecar: false),
        .init(testDescription: "namespace enabled", namespaceLabels: enabled, hasSidecar: true),
        .init(testDescription: "namespace disabled", namespaceLabels: "{istio-injection: disabled}", hasSidecar: false),
        .init(testDescription: "namespace with revision", namespaceLabels: "{istio.io/rev: canary}", hasSidecar: true),
        .init(
            testDescription: "namespace disabled beats pod label", namespaceLabels: "{istio-injection: disabled}",
            labels: yes, hasSidecar: false),
        .init(testDescription: "pod label alone", labels: yes, hasSidecar: true),
        .init(testDescription: "pod revision alone", labels: "{istio.io/rev: default}", hasSidecar: true),
        .init(testDescription: "pod annotation alone", annotations: yes, hasSidecar: false),
        .init(
            testDescription: "annotation false", namespaceLabels: enabled, annotations: no, hasSidecar: false),
        .init(testDescription: "label false", namespaceLabels: enabled, labels: no, hasSidecar: false),
        .init(
            testDescription: "label true beats annotation false", namespaceLabels: enabled, labels: yes,
            annotations: no, hasSidecar: true),
        .init(
            testDescription: "label false beats annotation true", namespaceLabels: enabled, labels: no,
            annotations: yes, hasSidecar: false),
        .init(
            testDescription: "label yes", namespaceLabels: enabled, labels: "{sidecar.istio.io/inject: \"yes\"}",
            hasSidecar: true),
        .init(testDescription: "by default", byDefault: true, hasSidecar: true),
        .init(testDescription: "by default, label false", labels: no, byDefault: true, hasSidecar: false),
        .init(
            testDescription: "by default, namespace disabled", namespaceLabels: "{istio-injection: disabled}",
            byDefault: true, hasSidecar: false),
        .init(
            testDescription: "kube-system", namespace: "kube-system", namespaceLabels: enabled, labels: yes,
            hasSidecar: false),
    ]
}

@Suite("Injection")
struct InjectionTests {
    @Test("labels and annotations decide who has a sidecar", arguments: InjectionCase.all)
    func table(_ item: InjectionCase) throws {
        var mesh = MeshConfig()
        mesh.enableNamespacesByDefault = item.byDefault
        let plan = KubernetesFixture.plan(
            KubernetesFixture.namespace(item.namespace, item.namespaceLabels)
                + KubernetesFixture.pod(
                    "a", namespace: item.namespace, labels: item.labels, annotations: item.annotations), mesh: mesh)
        let pod = try #require(plan.pod("a", in: item.namespace))
        #expect(pod.pod.hasSidecar == item.hasSidecar)
        #expect((pod.proxy != nil) == item.hasSidecar && pod.ruleset.tables.isEmpty != item.hasSidecar)
    }

    @Test("an annotation without effect is warned of")
    func warning() {
        var fixture = KubernetesFixture(
            KubernetesFixture.pod("a", annotations: "{sidecar.istio.io/inject: \"true\"}"))
        let (_, diagnostics) = fixture.planAndDiagnose()
        #expect(diagnostics.map(\.severity) == [.warning])
    }

    @Test("a dump of a live pod has its sidecar, a gateway's proxy is none", arguments: [false, true])
    func dump(isGateway: Bool) {
        let arguments = isGateway ? "[proxy, router]" : "[proxy, sidecar]"
        let plan = KubernetesFixture.plan(
            """
            apiVersion: v1
            kind: Pod
            metadata: {name: a}
            spec: {containers: [{name: main, image: main}, {name: istio-proxy, image: p, args: \(arguments)}]}
            """)
        #expect(plan.pod("a")?.pod.hasSidecar == !isGateway)
    }

    @Test("start order: classic, unless native sidecars are on")
    func startOrder() {
        let pod = KubernetesFixture.pod("a", labels: "{sidecar.istio.io/inject: \"true\"}")
        #expect(KubernetesFixture.plan(pod).pod("a")?.pod.capture?.startOrder == .classic)
        var mesh = MeshConfig()
        mesh.nativeSidecars = true
        #expect(KubernetesFixture.plan(pod, mesh: mesh).pod("a")?.pod.capture?.startOrder == .nativeSidecar)
    }
}
