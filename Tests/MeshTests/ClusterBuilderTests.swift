import Manifests
import Mesh
import NetworkAddresses
import Testing

@Suite("The cluster through the steps")
struct ClusterBuilderTests {
    private static let sleep = """
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: sleep}
        spec:
          replicas: 2
          selector: {matchLabels: {app: sleep}}
          template:
            metadata: {labels: {app: sleep}}
            spec: {containers: [{name: main, image: main}]}
        ---

        """

    @Test("mesh and namespace changes wait for the pod's restart")
    func frozen() {
        var fixture = KubernetesFixture(Self.sleep)
        #expect(fixture.plan().pod("sleep-1")?.pod.hasSidecar == false)
        fixture.apply(KubernetesFixture.namespace("default", "{istio-injection: enabled}"))
        let same = fixture.plan().pod("sleep-1")?.pod
        #expect(same?.hasSidecar == false && same?.generation == 1)
        let restarted = fixture.plan(restarted: [WorkloadReference(namespace: "default", name: "sleep")])
        for name in ["sleep-1", "sleep-2"] {
            let pod = restarted.pod(name)?.pod
            #expect(pod?.hasSidecar == true && pod?.generation == 2)
        }
        fixture.mesh.includeIPRanges = Located("10.0.0.0/8", at: SourceLocation(file: "mesh.yaml"))
        #expect(fixture.plan().pod("sleep-1")?.pod.capture?.includeOutboundRanges == .all)
    }

    @Test("a changed template starts its pods anew, at their old place; writing it again does not")
    func templates() {
        var fixture = KubernetesFixture(Self.sleep)
        let first = fixture.plan()
        fixture.apply("\n\n# moved\n" + Self.sleep)
        #expect(fixture.plan().pods.map(\.pod.generation) == [1, 1, 1])
        fixture.apply(Self.sleep.split(separator: "image: main").joined(separator: "image: other"))
        let second = fixture.plan()
        #expect(second.pod("sleep-1")?.pod.generation == 2)
        #expect(second.pods.map(\.pod.addresses) == first.pods.map(\.pod.addresses))
    }

    @Test("a bare pod's labels change while it runs")
    func barePod() {
        var fixture = KubernetesFixture(KubernetesFixture.pod("a", labels: "{x: \"1\"}"))
        _ = fixture.plan()
        fixture.apply(KubernetesFixture.pod("a", labels: "{x: \"2\", sidecar.istio.io/inject: \"true\"}"))
        let pod = fixture.plan().pod("a")?.pod
        #expect(pod?.labels["x"] == "2" && pod?.generation == 1 && pod?.hasSidecar == false)
    }

    @Test("a pod that went and came again is another one, elsewhere")
    func cameAgain() {
        var fixture = KubernetesFixture(KubernetesFixture.pod("a"))
        let before = fixture.plan().pod("a")?.pod
        fixture.delete("Pod", "default", "a")
        _ = fixture.plan()
        fixture.apply(KubernetesFixture.pod("a"))
        let after = fixture.plan().pod("a")?.pod
        #expect(after?.generation == 2 && after?.index != before?.index)
    }

    @Test("deleting and applying in one step starts the pods anew")
    func deletedAndApplied() {
        var fixture = KubernetesFixture(Self.sleep)
        _ = fixture.plan()
        fixture.delete("Deployment", "default", "sleep")
        fixture.apply(KubernetesFixture.namespace("default", "{istio-injection: enabled}") + Self.sleep)
        let pod = fixture.plan().pod("sleep-1")?.pod
        #expect(pod?.generation == 2 && pod?.hasSidecar == true)
    }

    @Test("the DNS server is built in unless the manifests bring one")
    func dns() {
        let builtIn = KubernetesFixture.plan("")
        #expect(builtIn.pods.map(\.pod.id.description) == ["kube-system/kube-dns"])
        #expect(builtIn.dns.nameservers.map(\.description) == ["10.96.0.10", "fd00:10:96::a"])
        #expect(builtIn.pods[0].tcpPorts == [] && builtIn.pods[0].udpPorts == [])
        let own = KubernetesFixture.plan(
            KubernetesFixture.pod("coredns", namespace: "kube-system", labels: "{k8s-app: kube-dns}"))
        #expect(own.pods.map(\.pod.id.description) == ["kube-system/coredns"])
        #expect(own.dns.pod.name == "coredns")
    }

    @Test("Services lead to named and numbered ports in both families")
    func services() {
        let plan = KubernetesFixture.plan(
            KubernetesFixture.pod("a", labels: "{app: web}", ports: "[{name: http, containerPort: 8080}]")
                + KubernetesFixture.pod(
                    "b", labels: "{app: web}", ports: "[{name: http, containerPort: 8081}]",
                    spec: "securityContext: {sysctls: [{name: net.ipv6.conf.all.disable_ipv6, value: \"1\"}]}")
                    + """
                    apiVersion: v1
                    kind: Service
                    metadata: {name: web}
                    spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: http}]}
                    ---
                    apiVersion: v1
                    kind: Service
                    metadata: {name: pods}
                    spec: {clusterIP: None, selector: {app: web}, ports: [{name: http, port: 80}]}
                    """)
        let address = IPEndpoint(IPAddress(10, 96, 0, 16), 80)
        #expect(
            plan.translations[address] == [
                .init(IPAddress(10, 244, 0, 3), 8080), .init(IPAddress(10, 244, 0, 4), 8081),
            ])
        #expect(plan.pod("b")?.pod.addresses.map(\.description) == ["10.244.0.4"])
        #expect(plan.pod("a")?.tcpPorts == [80, 8080])
        #expect(
            plan.dns.records["web.default.svc.cluster.local"]?.map(\.description) == ["10.96.0.16", "fd00:10:96::10"])
        #expect(
            plan.dns.records["pods.default.svc.cluster.local"]?.map(\.description)
                == ["10.244.0.3", "fd00:10:244::3", "10.244.0.4"])
        #expect(plan.dns.records["10-244-0-4.default.pod.cluster.local"]?.map(\.description) == ["10.244.0.4"])
    }

    @Test("StatefulSet pods count from 0 and have names of their own")
    func statefulSet() {
        let plan = KubernetesFixture.plan(
            """
            apiVersion: apps/v1
            kind: StatefulSet
            metadata: {name: web}
            spec:
              serviceName: web
              selector: {matchLabels: {app: web}}
              template: {metadata: {labels: {app: web}}, spec: {containers: [{name: main, image: main}]}}
            ---
            apiVersion: v1
            kind: Service
            metadata: {name: web}
            spec: {clusterIP: None, selector: {app: web}}
            """)
        #expect(plan.pod("web-0")?.pod.workload == "web")
        #expect(plan.dns.records["web-0.web.default.svc.cluster.local"]?.count == 2)
    }

    @Test("two pods with one address, and a restart of nobody, are errors")
    func errors() {
        let pod = { (name: String) in
            "{apiVersion: v1, kind: Pod, metadata: {name: \(name)}, spec: {containers: [{name: m, image: m}]}, "
                + "status: {podIPs: [{ip: 10.244.7.7}]}}\n---\n"
        }
        var fixture = KubernetesFixture(pod("a") + pod("b"))
        let (_, diagnostics) = fixture.planAndDiagnose(restarted: [WorkloadReference(namespace: "default", name: "x")])
        #expect(diagnostics.map(\.severity) == [.error, .error])
    }
}
