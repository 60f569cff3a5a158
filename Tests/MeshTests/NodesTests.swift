import Manifests
import Mesh
import NetworkAddresses
import Nftables
import TestSupport
import Testing

@Suite("Nodes")
struct NodesTests {
    private static func node(_ name: String, labels: String = "{}", _ rest: String = "") -> String {
        """
        apiVersion: v1
        kind: Node
        metadata: {name: \(name), labels: \(labels)}
        \(rest)
        ---

        """
    }

    private func nodes(of yaml: String) -> [String: String] {
        let plan = KubernetesFixture.plan(yaml)
        return Dictionary(uniqueKeysWithValues: plan.pods.map { ($0.pod.id.name, $0.pod.node) })
    }

    @Test("without a word about nodes there is one, which takes every pod, and no fabric")
    func one() throws {
        let plan = KubernetesFixture.plan(
            KubernetesFixture.pod("a", spec: "nodeSelector: {disk: fast}"))
        #expect(plan.nodes.map(\.name) == ["node"] && plan.fabric == nil && plan.firewall == nil)
        #expect(plan.nodes[0].addresses.map(\.description) == ["172.18.0.2", "fd00:172:18::2"])
        #expect(plan.pods.allSatisfy { $0.pod.node == "node" })
    }

    @Test("nodes that only pods name exist, and have addresses of their own")
    func named() {
        let plan = KubernetesFixture.plan(
            KubernetesFixture.pod("a", spec: "nodeName: kind-worker2")
                + KubernetesFixture.pod("b", spec: "nodeName: kind-worker"))
        #expect(plan.nodes.map(\.name) == ["kind-worker", "kind-worker2"] && plan.fabric != nil)
        #expect(plan.nodes.map { $0.addresses[0].description } == ["172.18.0.2", "172.18.0.3"])
        #expect(plan.pod("a")?.pod.node == "kind-worker2" && plan.pod("b")?.pod.node == "kind-worker")
    }

    @Test("a dump's nodes have the addresses that their status gives; others' do not collide with them")
    func addresses() {
        let status = "status: {addresses: [{type: Hostname, address: x}, {type: InternalIP, address: 172.18.0.2}]}"
        let plan = KubernetesFixture.plan(Self.node("first") + Self.node("given", labels: "{}", status))
        #expect(
            plan.nodes.map { $0.addresses.map(\.description) } == [["172.18.0.3", "fd00:172:18::3"], ["172.18.0.2"]])
        #expect(plan.nodes.flatMap(\.addresses).allSatisfy(plan.clusterRanges.contains))
    }

    @Test("a dump without nodes has their names and addresses from its pods")
    func dump() throws {
        let pod = """
            apiVersion: v1
            kind: Pod
            metadata: {name: web}
            spec: {nodeName: kind-worker, containers: [{name: main, image: main}]}
            status: {hostIP: 172.20.0.3, hostIPs: [{ip: 172.20.0.3}], podIP: 10.1.2.3, podIPs: [{ip: 10.1.2.3}]}
            """
        let plan = KubernetesFixture.plan(pod)
        #expect(plan.nodes.map(\.name) == ["kind-worker"] && plan.nodes[0].addresses == [IPAddress(172, 20, 0, 3)])
        #expect(plan.pod("web")?.pod.addresses == [IPAddress(10, 1, 2, 3)])
        #expect([IPAddress(172, 20, 0, 3), IPAddress(10, 1, 2, 3)].allSatisfy(plan.clusterRanges.contains))
    }

    @Test("pods go where their selector, their affinity and the nodes' taints let them, and else to the emptiest node")
    func placement() {
        let found = nodes(
            of: Self.node("plain") + Self.node("fast", labels: "{disk: fast, size: \"8\"}")
                + Self.node("tainted", labels: "{role: egress}", "spec: {taints: [{key: own, effect: NoSchedule}]}")
                + Self.node("closed", labels: "{}", "spec: {unschedulable: true}")
                + KubernetesFixture.pod("selected", spec: "nodeSelector: {disk: fast}")
                + KubernetesFixture.pod(
                    "tolerant",
                    spec: "nodeSelector: {role: egress}\n  tolerations: [{key: own, operator: Exists}]")
                + KubernetesFixture.pod("named", spec: "nodeName: closed")
                + KubernetesFixture.pod(
                    "affine",
                    spec: """
                        affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [
                            {matchExpressions: [{key: size, operator: Gt, values: ["4"]}]}]}}}
                        """)
                + KubernetesFixture.pod("any") + KubernetesFixture.pod("other"))
        #expect(found["selected"] == "fast" && found["tolerant"] == "tainted" && found["named"] == "closed")
        #expect(found["affine"] == "fast" && found["any"] == "plain")
    }

    @Test("a pod that no node takes stays pending: it does not run, and the manifest's line is told")
    func pending() throws {
        var fixture = KubernetesFixture(
            Self.node("a") + Self.node("b") + KubernetesFixture.pod("lost", spec: "nodeSelector: {role: egress}")
                + KubernetesFixture.pod("nowhere", spec: "nodeName: c"))
        let (plan, diagnostics) = fixture.planAndDiagnose()
        #expect(plan.pods.map(\.pod.id.name) == ["kube-dns"])
        let texts = diagnostics.map(\.description)
        #expect(
            texts.contains {
                $0.hasPrefix(
                    "test.yaml:11:1: warning: pod default/lost stays pending: no node with the labels role=egress takes it"
                )
            }, "\(texts)")
        #expect(texts.contains { $0.contains("pod default/nowhere stays pending: there is no node c") })
    }

    @Test("a port of a node is one pod's: whoever wants it besides goes elsewhere, or stays pending")
    func hostPorts() throws {
        func pod(_ name: String, _ ports: String, _ spec: String = "hostNetwork: true") -> String {
            KubernetesFixture.pod(name, ports: ports, spec: spec)
        }
        var fixture = KubernetesFixture(
            Self.node("a") + Self.node("b")
                + pod("first", "[{containerPort: 80}]") + pod("second", "[{containerPort: 80}]")
                + pod("third", "[{containerPort: 80}]")
                + pod("udp", "[{containerPort: 80, protocol: UDP}]")
                + pod("mapped", "[{containerPort: 8080, hostPort: 80}]", "nodeName: b")
                + pod("elsewhere", "[{containerPort: 80, hostPort: 81}]", "nodeName: b")
                + pod("one-address", "[{containerPort: 8081, hostPort: 8081, hostIP: 172.18.0.2}]", "nodeName: a")
                + pod("another", "[{containerPort: 8081, hostPort: 8081, hostIP: 172.18.0.9}]", "nodeName: a")
                + pod("everywhere", "[{containerPort: 8081, hostPort: 8081, hostIP: 0.0.0.0}]", "nodeName: a"))
        let (plan, diagnostics) = fixture.planAndDiagnose()
        let nodes = Dictionary(uniqueKeysWithValues: plan.pods.map { ($0.pod.id.name, $0.pod.node) })
        #expect(nodes["first"] != nil && nodes["second"] != nil && nodes["first"] != nodes["second"])
        #expect(nodes["third"] == nil && nodes["mapped"] == nil && nodes["everywhere"] == nil)
        #expect(["udp", "elsewhere", "one-address", "another"].allSatisfy { nodes[$0] != nil })
        let texts = diagnostics.map(\.description)
        #expect(
            texts.contains {
                $0.contains("warning: pod default/third stays pending: TCP 80 of node a is pod default/")
                    && $0.contains("and no other node has room either")
            }, "\(texts)")
        #expect(texts.contains { $0.contains("pod default/everywhere stays pending: TCP 8081 of node a is pod") })
        // Whoever has it keeps it, and once it is free the next gets it.
        fixture.delete("Pod", "default", "second")
        let next = fixture.planAndDiagnose().0
        #expect(next.pod("first")?.pod.node == nodes["first"])
        #expect(next.pod("third") != nil || next.pod("mapped") != nil)
    }

    @Test("a pod stays on its node while others come and go, and leaves it when it must")
    func staying() {
        var fixture = KubernetesFixture(
            Self.node("a") + Self.node("b", labels: "{role: egress}") + KubernetesFixture.pod("x")
                + KubernetesFixture.pod("z"))
        let first = fixture.plan()
        fixture.delete("Pod", "default", "x")
        #expect(fixture.plan().pod("z")?.pod.node == first.pod("z")?.pod.node)
        let other = first.pod("z")?.pod.node == "a" ? "b" : "a"
        fixture.apply(KubernetesFixture.pod("z", spec: "nodeName: \(other)"))
        let moved = fixture.plan().pod("z")?.pod
        #expect(moved?.node == other && moved?.generation == 2)
    }

    @Test("a pod on the node's network has the node's addresses, no rules, and no policy")
    func hostNetwork() throws {
        let plan = KubernetesFixture.plan(
            KubernetesFixture.namespace("default", "{istio-injection: enabled}")
                + KubernetesFixture.pod("agent", spec: "hostNetwork: true") + KubernetesFixture.pod("web")
                + NodeCase.policy("deny", "{podSelector: {}}"))
        let agent = try #require(plan.pod("agent"))
        #expect(agent.pod.addresses == plan.nodes[0].addresses && agent.ruleset.tables.isEmpty && agent.proxy == nil)
        #expect(plan.nodes[0].dropReasons.values.map { $0.pod?.name } == ["web"])
    }

    @Test("a flow from a node that is not there is refused at its line")
    func unknownNode() throws {
        let flow = Flow(
            id: "f", location: SourceLocation(file: "scenario.yaml", line: 7, column: 3), from: .node("nod"),
            to: "tcp://192.0.2.1:80", scheme: .tcp, host: .address(IPAddress(192, 0, 2, 1)), port: 80,
            expect: FlowExpectation(outcome: .failed))
        var fixture = KubernetesFixture("", flows: [flow])
        let texts = fixture.planAndDiagnose().1.map(\.description)
        #expect(
            texts.contains {
                $0.hasPrefix("scenario.yaml:7:3: error: there is no node nod; the lab has only the node node")
            },
            "\(texts)")
    }
}

/// Clusters of several nodes, or with a firewall, and the rules they make.
struct NodesCase: CustomTestStringConvertible, Sendable {
    var testDescription: String
    var yaml: String
    var boundary: ClusterBoundary?

    var plan: LabPlan {
        var fixture = KubernetesFixture(yaml, boundary: boundary)
        return fixture.plan()
    }

    /// By golden.
    var rulesets: [String: Ruleset] {
        let plan = plan
        var result = Dictionary(
            uniqueKeysWithValues: plan.nodes.map { ("\(testDescription)-\($0.name).nft", $0.ruleset) })
        result["\(testDescription)-fabric.nft"] = plan.fabric?.ruleset
        return result
    }

    private static let location = SourceLocation(file: "scenario.yaml", line: 3, column: 3)

    private static func boundary(_ sources: ClusterBoundary.Source...) -> ClusterBoundary {
        ClusterBoundary(allowFrom: sources.map { Located($0, at: location) }, location: location)
    }

    static let all: [NodesCase] = [
        NodesCase(
            testDescription: "two-nodes",
            yaml: KubernetesFixture.pod("web", labels: "{app: web}", spec: "nodeName: a")
                + KubernetesFixture.pod("db", labels: "{app: db}", spec: "nodeName: b")
                + NodeCase.policy(
                    "web",
                    "{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}]}]}"
                )
                + NodeCase.policy("db", "{podSelector: {matchLabels: {app: db}}, ingress: [{ports: [{port: 5432}]}]}"),
            boundary: boundary(.node("b"), .workload(WorkloadReference(namespace: "default", name: "web")))),
        NodesCase(
            testDescription: "boundary", yaml: KubernetesFixture.pod("gateway") + KubernetesFixture.pod("other"),
            boundary: boundary(.workload(WorkloadReference(namespace: "default", name: "gateway")))),
        NodesCase(
            testDescription: "boundary-closed", yaml: KubernetesFixture.pod("gateway"), boundary: boundary()),
    ]
}

@Suite("The rules of several nodes and of the boundary")
struct NodesRulesetTests {
    @Test("clusters make the rules that a person has read", arguments: NodesCase.all)
    func golden(_ item: NodesCase) {
        for (name, ruleset) in item.rulesets { Golden.expect(ruleset.text, equals: name) }
    }

    @Test("the only node watches the boundary itself, several leave it to the fabric")
    func boundaryTable() {
        let (joined, alone) = (NodesCase.all[0].plan, NodesCase.all[1].plan)
        let name = "egress-lab-boundary"
        #expect(joined.nodes.allSatisfy { !$0.ruleset.tables.map(\.name).contains(name) })
        #expect(joined.fabric?.ruleset.tables.map(\.name) == [name])
        #expect(alone.fabric == nil && alone.nodes[0].ruleset.tables.map(\.name).contains(name))
    }

    @Test("each node judges its own pods only")
    func ownPods() {
        let plan = NodesCase.all[0].plan
        #expect(
            plan.nodes.map { $0.dropReasons.values.map { "\($0.direction) \($0.pod?.name ?? "")" } } == [
                ["egress web"], ["ingress db"],
            ])
    }

    @Test("the firewall's log names whose address it is and the scenario's line")
    func firewall() throws {
        let plan = NodesCase.all[0].plan
        let firewall = try #require(plan.firewall)
        #expect(firewall.origin.description == "Scenario test spec.boundary, scenario.yaml:3")
        #expect(firewall.owners[IPAddress(172, 18, 0, 3)] == "node/b")
        #expect(plan.pod("web")?.pod.addresses.allSatisfy { firewall.owners[$0] == "default/web" } == true)
    }
}

@Suite("The rules of several nodes and of the boundary in the kernel", .requiresRoot)
struct NodesRulesetKernelTests {
    @Test("nft loads the text, and lists what we install as that text", arguments: NodesCase.all)
    func listedAsText(_ item: NodesCase) throws {
        for ruleset in item.rulesets.values { try expectListed(ruleset) }
    }
}
