import Manifests
import Mesh
import NetworkAddresses
import Testing

@Suite("A dump of a live cluster is the cluster that it was taken of")
struct DumpTests {
    private static func pod(
        _ name: String, controller: String, labels: String = "{app: web}", status: String = "{phase: Running}"
    ) -> String {
        """
        apiVersion: v1
        kind: Pod
        metadata:
          name: \(name)
          labels: \(labels)
          managedFields: [{manager: kubelet, operation: Update, fieldsV1: {"f:status": {}}}]
          ownerReferences: [{apiVersion: v1, controller: true, \(controller), uid: x}]
        spec: {containers: [{name: main, image: main, ports: [{name: http, containerPort: 8080}]}]}
        status: \(status)
        ---

        """
    }

    private static func workload(_ kind: String, _ name: String, metadata: String = "", spec: String = "") -> String {
        """
        apiVersion: \(kind == "Job" ? "batch/v1" : kind == "ReplicationController" ? "v1" : "apps/v1")
        kind: \(kind)
        metadata: {name: \(name)\(metadata)}
        spec:
          \(kind == "Job" ? "" : kind == "ReplicationController" ? "selector: {app: web}" : "selector: {matchLabels: {app: web}}")
          \(spec)
          template:
            metadata: {labels: {app: web}}
            spec: {containers: [{name: main, image: main}]}
        ---

        """
    }

    private func pods(_ yaml: String) -> [ClusterPod] {
        KubernetesFixture.plan(yaml).pods.map(\.pod).filter { $0.id.namespace != "kube-system" }
    }

    @Test("a Deployment, its ReplicaSet and its pods are as many pods as the dump has")
    func notDoubled() {
        let owner = ", ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, controller: true, uid: x}]"
        let yaml =
            Self.workload("Deployment", "web", spec: "replicas: 3")
            + Self.workload("ReplicaSet", "web-5d4f8b", metadata: owner, spec: "replicas: 3")
            + Self.pod(
                "web-5d4f8b-x1", controller: "kind: ReplicaSet, name: web-5d4f8b",
                labels: "{app: web, pod-template-hash: 5d4f8b}",
                status: "{phase: Running, podIP: 10.1.0.7, podIPs: [{ip: 10.1.0.7}]}")
        let pods = pods(yaml)
        #expect(pods.map(\.id.name) == ["web-5d4f8b-x1"])
        #expect(pods[0].workload == "web" && pods[0].workloadKind == "Deployment")
        #expect(pods[0].addresses.map(\.description) == ["10.1.0.7"])
    }

    @Test("without pods in the dump the uppermost workload makes them, once")
    func uppermost() {
        let owner = ", ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, controller: true, uid: x}]"
        let set = Self.workload("ReplicaSet", "web-5d4f8b", metadata: owner, spec: "replicas: 2")
        #expect(
            pods(Self.workload("Deployment", "web", spec: "replicas: 2") + set).map(\.id.name) == ["web-1", "web-2"])
        let alone = pods(set)
        #expect(alone.map(\.id.name) == ["web-5d4f8b-1", "web-5d4f8b-2"] && alone[0].workload == "web")
    }

    @Test(
        "pods that have ended or wait for a node have no network, and their workload makes no others",
        arguments: ["Succeeded", "Failed", "Pending"])
    func ended(_ phase: String) {
        let yaml =
            Self.workload("Job", "once")
            + Self.pod("once-x1", controller: "kind: Job, name: once", status: "{phase: \(phase)}")
        #expect(pods(yaml).isEmpty)
    }

    @Test("a Job that is complete or suspended makes no pods; a CronJob makes those of one Job")
    func jobs() {
        #expect(pods(Self.workload("Job", "idle", spec: "suspend: true")).isEmpty)
        let complete = "{apiVersion: batch/v1, kind: Job, metadata: {name: a}, spec: {template: {spec: {containers: "
        let status = "[{name: a}]}}}, status: {conditions: [{type: Complete, status: \"True\"}]}}"
        #expect(pods(complete + status).isEmpty)
        let cron = """
            apiVersion: batch/v1
            kind: CronJob
            metadata: {name: nightly}
            spec:
              schedule: "0 3 * * *"
              jobTemplate: {spec: {parallelism: 2, template: {spec: {containers: [{name: main}]}}}}
            ---

            """
        let past =
            Self.workload(
                "Job", "nightly-29001234",
                metadata:
                    ", ownerReferences: [{apiVersion: batch/v1, kind: CronJob, name: nightly, controller: true, uid: x}]"
            )
            + Self.pod(
                "nightly-29001234-x", controller: "kind: Job, name: nightly-29001234", status: "{phase: Succeeded}")
        #expect(pods(cron).map(\.id.name) == ["nightly-1", "nightly-2"])
        #expect(pods(cron + past).map(\.workload) == ["nightly", "nightly"])
    }

    @Test("a ReplicationController and a StatefulSet that counts from elsewhere make their pods")
    func otherKinds() {
        let controller = Self.workload("ReplicationController", "rc", spec: "replicas: 1")
        let set = Self.workload("StatefulSet", "db", spec: "{}")
            .replacing("  {}\n", with: "  replicas: 2\n  ordinals: {start: 5}\n  serviceName: db\n")
        #expect(pods(controller).map(\.id.name) == ["rc-1"])
        #expect(pods(set).map(\.id.name) == ["db-5", "db-6"])
    }

    @Test("the lab gives nobody an address that the dump gives somebody")
    func addresses() {
        let yaml =
            KubernetesFixture.pod("a") + KubernetesFixture.pod("b")
            + Self.pod("given", controller: "kind: Node, name: one", status: "{podIPs: [{ip: 10.244.0.3}]}")
        let addresses = pods(yaml).flatMap(\.addresses)
        #expect(Set(addresses).count == addresses.count && addresses.contains(IPAddress(10, 244, 0, 3)))
    }

    @Test("a List and its items are read, and what does not matter is told in one line")
    func list() {
        let read = ManifestReader.read(
            text: """
                apiVersion: v1
                kind: List
                metadata: {resourceVersion: ""}
                items:
                - {apiVersion: v1, kind: Event, metadata: {name: a}}
                - {apiVersion: v1, kind: Event, metadata: {name: b}}
                - {apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: r}}
                - {apiVersion: x.example/v1, kind: Thing, metadata: {name: t}}
                - {apiVersion: x.example/v1, kind: Thing, metadata: {name: u}}
                - {apiVersion: v1, kind: Namespace, metadata: {name: one, managedFields: [{manager: kubectl}]}}
                """, file: "dump.yaml")
        #expect(read.value.count == 1)
        #expect(
            read.diagnostics.map(\.description) == [
                "dump.yaml:5:3: note: left out, because they do not matter here: 2 Event, 1 Role",
                "dump.yaml:8:3: warning: kind Thing (x.example/v1) is not understood: t and 1 more were left out",
            ])
    }
}

@Suite("Services lead where their manifests say")
struct ServiceEndpointsTests {
    private func service(_ spec: String, pods: String = "", more: String = "") -> LabPlan {
        KubernetesFixture.plan(
            pods + "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {\(spec)}}\n---\n" + more)
    }

    private static let name = "web.default.svc.cluster.local"

    @Test("the families are those that the Service asks for, in its order")
    func families() throws {
        func families(_ spec: String) -> [IPFamily]? {
            service("ports: [{port: 80}], \(spec)").dns.records[Self.name]?.map(\.family)
        }
        #expect(families("selector: {a: b}") == [.ipv4, .ipv6])
        #expect(families("ipFamilyPolicy: SingleStack") == [.ipv4])
        #expect(families("ipFamilies: [IPv6]") == [.ipv6])
        #expect(families("ipFamilyPolicy: PreferDualStack, ipFamilies: [IPv6]") == [.ipv6, .ipv4])
        #expect(families("clusterIPs: [\"fd00::1\"], clusterIP: \"fd00::1\"") == [.ipv6])
    }

    @Test("a pod that is not ready is behind no Service, unless the Service publishes it")
    func readiness() {
        let pods = """
            apiVersion: v1
            kind: Pod
            metadata: {name: late, labels: {app: web}}
            spec: {containers: [{name: main}]}
            status: {phase: Running, podIPs: [{ip: 10.9.0.1}], conditions: [{type: Ready, status: "False"}]}
            ---

            """
        let spec = "selector: {app: web}, clusterIP: None"
        #expect(service(spec, pods: pods).dns.records[Self.name]?.isEmpty == true)
        let published = service(spec + ", publishNotReadyAddresses: true", pods: pods)
        #expect(published.dns.records[Self.name]?.map(\.description) == ["10.9.0.1"])
    }

    @Test("Endpoints and the slices that mirror them are one set of destinations; a selector counts for more")
    func slices() {
        let more = """
            {apiVersion: v1, kind: Endpoints, metadata: {name: web},
             subsets: [{addresses: [{ip: 203.0.113.5}], ports: [{port: 5433}]}]}
            ---
            apiVersion: discovery.k8s.io/v1
            kind: EndpointSlice
            metadata: {name: web-x, labels: {kubernetes.io/service-name: web}}
            addressType: IPv4
            endpoints: [{addresses: [203.0.113.5]}, {addresses: [203.0.113.6]}]
            ports: [{port: 5433}]

            """
        let ports = "ports: [{port: 5432}], ipFamilyPolicy: SingleStack"
        let byHand = service(ports, more: more)
        let ends = byHand.translations.values.flatMap(\.self).filter { $0.port == 5433 }
        #expect(Set(ends.map(\.address.description)) == ["203.0.113.5", "203.0.113.6"])
        let selecting = service(ports + ", selector: {a: b}", more: more)
        #expect(!selecting.translations.values.flatMap(\.self).contains { $0.port == 5433 })
    }

    @Test("an ExternalName Service has its host's addresses, through other such Services too")
    func externalName() throws {
        var fixture = KubernetesFixture(
            """
            {apiVersion: v1, kind: Service, metadata: {name: a},
             spec: {type: ExternalName, externalName: b.default.svc.cluster.local}}
            ---
            {apiVersion: v1, kind: Service, metadata: {name: b}, spec: {type: ExternalName, externalName: x.example.com}}
            ---
            {apiVersion: v1, kind: Service, metadata: {name: c}, spec: {type: ExternalName, externalName: c.default.svc.cluster.local}}
            """,
            internet: [
                InternetHost(hosts: ["*.example.com"], addresses: [try #require(IPAddress("203.0.113.1"))])
            ])
        let records = fixture.plan().dns.records
        #expect(records["a.default.svc.cluster.local"]?.map(\.description) == ["203.0.113.1"])
        #expect(records["c.default.svc.cluster.local"] == nil)
    }

    @Test("node ports and load balancers' addresses are given once, around those that manifests give")
    func given() {
        var fixture = KubernetesFixture(
            """
            {apiVersion: v1, kind: Service, metadata: {name: a}, spec: {type: LoadBalancer, selector: {app: x}, ports: [{port: 80}]}}
            ---
            {apiVersion: v1, kind: Service, metadata: {name: b}, spec: {type: NodePort, selector: {app: x}, ports: [{port: 80, nodePort: 30000}]}}
            ---

            """ + KubernetesFixture.pod("p", labels: "{app: x}"))
        let first = fixture.plan()
        let nodePorts = first.translations.keys.filter { LabNetwork.nodeAddresses(0).contains($0.address) }.map(\.port)
        #expect(Set(nodePorts) == [30000, 30001])
        #expect(first.translations.keys.contains { $0.address.description == "198.18.0.1" && $0.port == 80 })
        fixture.apply(
            "{apiVersion: v1, kind: Service, metadata: {name: c}, spec: {type: NodePort, ports: [{port: 1}]}}")
        #expect(Set(first.translations.keys).isSubset(of: fixture.plan().translations.keys))
    }
}
