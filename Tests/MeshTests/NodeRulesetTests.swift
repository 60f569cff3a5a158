import Manifests
import Mesh
import NetworkAddresses
import Nftables
import TestSupport
import Testing

/// A cluster and the golden of its node's rules.
struct NodeCase: CustomTestStringConvertible, Sendable {
    var testDescription: String
    var yaml: String
    var golden: String { testDescription + ".nft" }
    var plan: LabPlan { KubernetesFixture.plan(yaml) }

    static func policy(_ name: String, namespace: String = "default", _ spec: String) -> String {
        """
        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: \(name), namespace: \(namespace)}
        spec: \(spec)
        ---

        """
    }

    /// Document 003's policy (networkpolicy.md §5).
    static let document003 =
        KubernetesFixture.namespace("test-egress")
        + KubernetesFixture.namespace("kube-system", "{kube-system: \"true\"}")
        + KubernetesFixture.namespace("istio-system", "{istio: system}")
        + KubernetesFixture.pod("sleep", namespace: "test-egress")
        + KubernetesFixture.pod("other", namespace: "test-egress")
        + KubernetesFixture.pod("egressgateway", namespace: "istio-system")
        + KubernetesFixture.pod("bystander")
        + policy(
            "allow-egress-to-istio-system-and-kube-dns", namespace: "test-egress",
            """

              podSelector: {}
              policyTypes: [Egress]
              egress:
              - to: [{namespaceSelector: {matchLabels: {kube-system: "true"}}}]
                ports: [{protocol: UDP, port: 53}]
              - to: [{namespaceSelector: {matchLabels: {istio: system}}}]
            """)

    static let all: [NodeCase] = [
        NodeCase(testDescription: "node-document-003", yaml: document003),
        NodeCase(
            testDescription: "node-policies",
            yaml: KubernetesFixture.pod("web", labels: "{app: web}") + KubernetesFixture.pod("db", labels: "{app: db}")
                + KubernetesFixture.pod("client", namespace: "other", labels: "{app: client}")
                + policy("deny-all", "{podSelector: {}, policyTypes: [Ingress, Egress]}")
                + policy(
                    "allow-all-egress", "{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{}]}")
                + policy(
                    "db",
                    """

                      podSelector: {matchExpressions: [{key: app, operator: In, values: [db]}]}
                      ingress:
                      - from:
                        - {podSelector: {matchLabels: {app: web}}}
                        - {ipBlock: {cidr: 192.0.2.0/24, except: [192.0.2.16/28]}}
                        - {ipBlock: {cidr: "2001:db8::/32"}}
                        ports: [{port: 5432}, {port: 6000, endPort: 6010}, {protocol: UDP, port: 53}, {protocol: SCTP}]
                      - ports: [{port: 9090}]
                      - from: [{namespaceSelector: {}, podSelector: {matchLabels: {app: client}}}]
                    """)),
        NodeCase(
            testDescription: "node-services",
            yaml: KubernetesFixture.pod("a", labels: "{app: web}") + KubernetesFixture.pod("b", labels: "{app: web}")
                + """
                apiVersion: v1
                kind: Service
                metadata: {name: web}
                spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
                ---
                apiVersion: v1
                kind: Service
                metadata: {name: nobody}
                spec: {selector: {app: nobody}, ports: [{name: http, port: 80}]}

                """),
        NodeCase(
            testDescription: "node-cluster-policies",
            yaml: KubernetesFixture.pod("web", labels: "{app: web}", ports: "[{name: http, containerPort: 8080}]")
                + KubernetesFixture.pod("db", labels: "{app: db}")
                + policy("deny-all", "{podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress, Egress]}")
                    + """
                    apiVersion: policy.networking.k8s.io/v1alpha2
                    kind: ClusterNetworkPolicy
                    metadata: {name: admin}
                    spec:
                      tier: Admin
                      priority: 10
                      subject: {namespaces: {}}
                      egress:
                      - {name: names, action: Accept, to: [{domainNames: ["*.example.org"]}]}
                      - {action: Pass, to: [{networks: [192.0.2.0/24]}], protocols: [{tcp: {destinationPort: {number: 80}}}]}
                      - {name: no world, action: Deny, to: [{networks: [0.0.0.0/0, "::/0"]}, {nodes: {}}]}
                      ingress:
                      - action: Accept
                        from: [{pods: {podSelector: {matchLabels: {app: db}}}}]
                        protocols: [{destinationNamedPort: http}, {udp: {destinationPort: {range: {start: 1, end: 9}}}}]
                    ---
                    apiVersion: policy.networking.k8s.io/v1alpha2
                    kind: ClusterNetworkPolicy
                    metadata: {name: baseline}
                    spec:
                      tier: Baseline
                      priority: 10
                      subject: {pods: {podSelector: {matchLabels: {app: web}}}}
                      ingress: [{action: Deny, from: [{namespaces: {}}]}]

                    """),
        NodeCase(
            testDescription: "node-service-types",
            yaml: KubernetesFixture.pod("a", labels: "{app: web}") + KubernetesFixture.pod("b", labels: "{app: web}")
                + """
                apiVersion: v1
                kind: Service
                metadata: {name: door}
                spec:
                  {type: NodePort, selector: {app: web}, ipFamilyPolicy: SingleStack,
                  ports: [{port: 80, targetPort: 8080, nodePort: 31000}]}
                ---
                apiVersion: v1
                kind: Service
                metadata: {name: balanced}
                spec:
                  {type: LoadBalancer, selector: {app: web}, externalTrafficPolicy: Local, externalIPs: [192.0.2.9],
                  loadBalancerSourceRanges: [203.0.113.0/28, 203.0.113.16/28, 198.51.100.7/32],
                  ports: [{port: 443, targetPort: 8443}]}
                ---
                apiVersion: v1
                kind: Service
                metadata: {name: sticky}
                spec:
                  {selector: {app: web}, sessionAffinity: ClientIP, ipFamilies: [IPv4], internalTrafficPolicy: Local,
                  sessionAffinityConfig: {clientIP: {timeoutSeconds: 60}}, ports: [{port: 80}]}
                ---
                apiVersion: v1
                kind: Service
                metadata: {name: outside}
                spec: {ports: [{port: 5432}], internalTrafficPolicy: Local}
                ---
                apiVersion: discovery.k8s.io/v1
                kind: EndpointSlice
                metadata: {name: outside-1, labels: {kubernetes.io/service-name: outside}}
                addressType: IPv4
                endpoints: [{addresses: [203.0.113.5]}, {addresses: [203.0.113.6], conditions: {ready: false}}]
                ports: [{port: 5433}]

                """),
    ]
}

@Suite("The node's rules")
struct NodeRulesetTests {
    @Test("clusters make the rules that a person has read", arguments: NodeCase.all)
    func matchesGolden(_ item: NodeCase) {
        Golden.expect(item.plan.node.ruleset.text, equals: item.golden)
    }

    @Test("without policies there is no policy table")
    func noPolicy() {
        let names = KubernetesFixture.plan(KubernetesFixture.pod("a")).node.ruleset.tables.map(\.name)
        #expect(names == ["egress-lab-services", "egress-lab-boundary"])
    }

    @Test("each drop prefix names the pod, the direction and the policies, and stands for their origins")
    func dropReasons() throws {
        let reasons = NodeCase.all[1].plan.node.dropReasons
        let web = try #require(
            reasons["egress default/web: NetworkPolicy default/deny-all, default/allow-all-egress"])
        #expect(web.pod?.name == "web" && web.direction == .egress)
        #expect(web.policies.map(\.name) == ["deny-all", "allow-all-egress"])
        #expect(reasons.count == 4)
    }

    @Test("drop prefixes are short and unique")
    func prefixes() {
        let long = String(repeating: "x", count: 60)
        let yaml =
            ["a", "b"].map { KubernetesFixture.pod("\(long)-\($0)", namespace: long) }.joined()
            + (1...5).map { NodeCase.policy("p\($0)", namespace: long, "{podSelector: {}}") }.joined()
        let reasons = KubernetesFixture.plan(yaml).node.dropReasons
        #expect(reasons.count == 2 && reasons.keys.allSatisfy { $0.utf8.count <= 120 })
        #expect(Set(reasons.values.compactMap(\.pod?.name)).count == 2)
    }

    @Test("the internet redirects everything to its servers")
    func internet() {
        Golden.expect(KubernetesFixture.plan("").internet.ruleset.text, equals: "internet.nft")
    }

    @Test("a packet meets the same rules among 300 pods as among 3, and no other pods' policies")
    func packetCost() throws {
        func chains(pods: Int, strangers: Int) throws -> [String: Int] {
            let policies = (0..<strangers).map { number in
                NodeCase.policy("p\(number)", namespace: "other", "{podSelector: {matchLabels: {number: n\(number)}}}")
            }
            let own = """
                apiVersion: policy.networking.k8s.io/v1alpha2
                kind: ClusterNetworkPolicy
                metadata: {name: c}
                spec:
                  tier: Admin
                  priority: 1
                  subject: {namespaces: {matchLabels: {kubernetes.io/metadata.name: default}}}
                  ingress: [{action: Deny, from: [{namespaces: {matchLabels: {team: x}}}]}]

                """
            let yaml =
                (0..<pods).map { KubernetesFixture.pod("web-\($0)", labels: "{app: web}") }.joined()
                + (0..<strangers).map {
                    KubernetesFixture.pod("s-\($0)", namespace: "other", labels: "{number: n\($0)}")
                }.joined()
                + KubernetesFixture.namespace("teamx", "{team: x}")
                + KubernetesFixture.pod("x", namespace: "teamx")
                + NodeCase.policy(
                    "web",
                    """
                    {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress, Egress], \
                    ingress: [{from: [{podSelector: {}}]}]}
                    """) + policies.joined() + own
            let table = try #require(KubernetesFixture.plan(yaml).node.policyTable)
            // What a packet to the first pod goes through: the base chains, and what their maps lead to.
            let link = Value.interface("veth2")
            let jumps = table.sets.flatMap(\.elements).filter { $0.key == [link] }.compactMap(\.verdict?.text)
            var counts: [String: Int] = [:]
            for chain in table.chains
            where chain.base != nil || jumps.contains(where: { $0.hasSuffix(" \(chain.name)") }) {
                counts[chain.base == nil ? "own" : chain.name, default: 0] += chain.rules.count
            }
            return counts
        }
        let few = try chains(pods: 3, strangers: 1)
        #expect(try chains(pods: 300, strangers: 50) == few)
        #expect(few["own"] ?? 0 > 5)
    }

    @Test("1000 pods and 200 policies are planned in a moment")
    func large() {
        let pods = (0..<20).map { number in
            """
            apiVersion: apps/v1
            kind: Deployment
            metadata: {name: app\(number), namespace: ns\(number % 10)}
            spec:
              replicas: 50
              selector: {matchLabels: {app: app\(number)}}
              template:
                metadata: {labels: {app: app\(number), sidecar.istio.io/inject: "true"}}
                spec: {containers: [{name: main, image: main, ports: [{containerPort: 80}]}]}
            ---

            """
        }
        let policies = (0..<200).map { number in
            NodeCase.policy(
                "p\(number)", namespace: "ns\(number % 10)",
                """

                  podSelector: {}
                  policyTypes: [Egress, Ingress]
                  egress: [{to: [{namespaceSelector: {}, podSelector: {matchLabels: {app: app\(number % 20)}}}]}]
                  ingress: [{from: [{ipBlock: {cidr: 10.\(number).0.0/16}}], ports: [{port: \(number + 1)}]}]
                """)
        }
        var fixture = KubernetesFixture((pods + policies).joined())
        let start = ContinuousClock.now
        let plan = fixture.plan()
        let elapsed = ContinuousClock.now - start
        #expect(plan.pods.count == 1001 && plan.node.dropReasons.count == 2000)
        #expect(elapsed < .seconds(10), "\(elapsed)")
    }
}

@Suite("The node's rules in the kernel", .requiresRoot)
struct NodeRulesetKernelTests {
    @Test("nft loads the text, and lists what we install as that text", arguments: NodeCase.all)
    func listedAsText(_ item: NodeCase) throws {
        try expectListed(item.plan.node.ruleset)
    }

    @Test("so are the internet's rules")
    func internet() throws {
        try expectListed(KubernetesFixture.plan("").internet.ruleset)
    }
}
