import Manifests
import Mesh
import NetworkAddresses
import Testing

@Suite("Gateways that an operator installs")
struct InstalledGatewayTests {
    private static func installation(_ spec: String, name: String = "installed-state") -> String {
        "{apiVersion: install.istio.io/v1alpha1, kind: IstioOperator, metadata: {name: \(name)}, spec: {\(spec)}}\n---\n"
    }

    private static let egress = installation(
        "components: {egressGateways: [{name: istio-egressgateway, enabled: true}]}")

    @Test("The classic chart's pod: name, namespace, labels, account, and no sidecar beside its proxy")
    func pod() throws {
        let plan = KubernetesFixture.plan(Self.egress)
        let pod = try #require(plan.pod("istio-egressgateway-1", in: "istio-system")?.pod)
        #expect(pod.isRouter && !pod.hasSidecar)
        #expect(pod.workload == "istio-egressgateway" && pod.workloadKind == "Deployment")
        #expect(pod.labels["app"] == "istio-egressgateway" && pod.labels["istio"] == "egressgateway")
        #expect(pod.spec.serviceAccountName == "istio-egressgateway-service-account")
        #expect(pod.spec.containers.map(\.name) == ["istio-proxy"])
    }

    @Test("Its Service leads ports 80 and 443 to 8080 and 8443")
    func service() {
        let plan = KubernetesFixture.plan(Self.egress)
        let addresses = Set(plan.pod("istio-egressgateway-1", in: "istio-system")?.pod.addresses ?? [])
        let ports = plan.translations.filter { entry in entry.value.contains { addresses.contains($0.address) } }
            .map { "\($0.key.port) \(Set($0.value.map(\.port)))" }
        #expect(Set(ports) == ["80 [8080]", "443 [8443]"])
    }

    @Test("A profile installs its gateways, and the operator's own words change them")
    func profile() {
        let plan = KubernetesFixture.plan(
            Self.installation(
                "profile: demo, components: {egressGateways: [{name: istio-egressgateway, namespace: edge, "
                    + "enabled: true, k8s: {replicaCount: 2}}]}"))
        let names = plan.pods.map(\.pod).filter(\.isRouter).map(\.id.description)
        #expect(
            names.sorted() == [
                "edge/istio-egressgateway-1", "edge/istio-egressgateway-2", "istio-system/istio-ingressgateway-1",
            ])
    }

    @Test("Additional containers stand beside the proxy, with their volumes")
    func additionalContainers() throws {
        let plan = KubernetesFixture.plan(
            Self.installation(
                """
                values: {gateways: {istio-egressgateway-with-sni-proxy: {enabled: true,
                  labels: {app: istio-egressgateway-with-sni-proxy, istio: egressgateway-with-sni-proxy},
                  ports: [{port: 443, name: https}],
                  additionalContainers: [{name: sni-proxy, image: nginx, volumeMounts: [{name: sni-proxy-config, mountPath: /etc/nginx, readOnly: true}]}],
                  configVolumes: [{name: sni-proxy-config, configMapName: egress-sni-proxy-configmap}]}}}
                """))
        let pod = try #require(plan.pod("istio-egressgateway-with-sni-proxy-1", in: "istio-system")?.pod)
        #expect(pod.isRouter)
        #expect(Set(pod.spec.containers.map(\.name)) == ["istio-proxy", "sni-proxy"])
        #expect(pod.spec.volumes.map(\.name) == ["sni-proxy-config"])
        #expect(pod.spec.serviceAccountName == "istio-egressgateway-with-sni-proxy-service-account")
    }

    @Test("Without its operator a gateway is gone; back again, it is another pod of the same name")
    func deletion() {
        var fixture = KubernetesFixture(Self.egress)
        let before = fixture.plan().pod("istio-egressgateway-1", in: "istio-system")?.pod.generation
        #expect(before == 1)
        fixture.delete("IstioOperator", "default", "installed-state")
        #expect(fixture.plan().pod("istio-egressgateway-1", in: "istio-system") == nil)
        fixture.apply(Self.egress)
        #expect(fixture.plan().pod("istio-egressgateway-1", in: "istio-system")?.pod.generation == 2)
    }

    @Test("A Deployment of that name in the manifests is the one that runs")
    func ownDeployment() throws {
        let plan = KubernetesFixture.plan(
            Self.egress + """
                apiVersion: apps/v1
                kind: Deployment
                metadata: {name: istio-egressgateway, namespace: istio-system}
                spec:
                  selector: {matchLabels: {istio: egressgateway}}
                  template:
                    metadata: {labels: {istio: egressgateway, own: "true"}}
                    spec: {containers: [{name: istio-proxy, args: [proxy, router]}]}
                """)
        let pods = plan.pods.filter { $0.pod.id.namespace == "istio-system" }
        #expect(pods.map(\.pod.labels) == [["istio": "egressgateway", "own": "true"]])
    }
}
