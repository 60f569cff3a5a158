import Manifests
import Mesh
import NetworkAddresses
import Nftables
import TestSupport
import Testing

@Suite("Capture rules")
struct CaptureRulesetTests {
    @Test("each annotation and mesh value makes Istio's rules", arguments: CaptureCase.all)
    func matchesGolden(_ item: CaptureCase) throws {
        Golden.expect(try #require(item.ruleset).text, equals: item.golden)
    }

    @Test("pods with the same settings have the same rules, whatever their name and address")
    func shared() throws {
        let plan = KubernetesFixture.plan(
            """
            apiVersion: apps/v1
            kind: Deployment
            metadata: {name: sleep}
            spec:
              replicas: 3
              selector: {matchLabels: {app: sleep}}
              template:
                metadata:
                  labels: {app: sleep, sidecar.istio.io/inject: "true"}
                  annotations: {traffic.sidecar.istio.io/excludeOutboundPorts: "25"}
                spec: {containers: [{name: main, image: main}]}
            """)
        let rulesets = ["sleep-1", "sleep-2", "sleep-3"].compactMap { plan.pod($0)?.ruleset }
        #expect(rulesets.count == 3 && Set(rulesets).count == 1)
        #expect(rulesets.first?.text.contains("Deployment default/sleep") == true)
    }

    @Test("IPv6 is on when the first address is IPv6")
    func firstAddress() throws {
        let plan = KubernetesFixture.plan(
            KubernetesFixture.pod("a", labels: "{sidecar.istio.io/inject: \"true\"}")
                + """
                apiVersion: v1
                kind: Pod
                metadata: {name: b, labels: {sidecar.istio.io/inject: "true"}}
                spec: {containers: [{name: main, image: main}]}
                status: {podIPs: [{ip: "fd00:10:244::9"}, {ip: 10.244.9.9}]}
                """)
        #expect(plan.pod("a")?.pod.capture?.isIPv6On == false)
        #expect(plan.pod("b")?.pod.capture?.isIPv6On == true)
        #expect(plan.pod("b")?.pod.addresses.map(\.description) == ["fd00:10:244::9", "10.244.9.9"])
    }

    @Test("an owner group by name is refused")
    func groupName() {
        var fixture = KubernetesFixture(
            KubernetesFixture.pod(
                "a", labels: "{sidecar.istio.io/inject: \"true\"}",
                annotations: "{proxy.istio.io/config: \"{proxyMetadata: {ISTIO_OUTBOUND_OWNER_GROUPS: www-data}}\"}"))
        let (_, diagnostics) = fixture.planAndDiagnose()
        #expect(diagnostics.map(\.severity) == [.unsupported])
        #expect(diagnostics.first?.location?.line == 3)
    }
}
