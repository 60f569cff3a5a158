import Manifests
import Mesh
import NetworkAddresses
import PolicyOracle
import TestSupport
import Testing

/// A case of upstream's simulator (adminnetworkpolicy.md §10.5): four pods, TCP and UDP on 80 and 81.
struct SimulatorCase: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var policies: [ClusterPolicyYAML]
    var networkPolicy: String?
    /// Flows that are dropped: `x/a→x/b t80`.
    var dropped: @Sendable (String, String, String) -> Bool

    init(
        _ description: String, _ policies: ClusterPolicyYAML..., networkPolicy: String? = nil,
        dropped: @escaping @Sendable (String, String, String) -> Bool
    ) {
        testDescription = description
        (self.policies, self.networkPolicy, self.dropped) = (policies, networkPolicy, dropped)
    }

    typealias Rule = ClusterPolicyYAML.Rule

    private static func pod(_ namespace: String, _ pod: String) -> String {
        let namespaces = "{matchLabels: {ns: \(namespace)x}}"
        return "{pods: {namespaceSelector: \(namespaces), podSelector: {matchLabels: {pod: \(pod)}}}}"
    }
    private static func namespace(_ name: String) -> String { "{namespaces: {matchLabels: {ns: \(name)x}}}" }
    private static let all = "{namespaces: {}}"
    private static let testPorts = "t80 t81 u80 u81"

    private static func admin(
        _ priority: Int, _ subject: String, egress: [Rule] = [], ingress: [Rule] = []
    ) -> ClusterPolicyYAML {
        ClusterPolicyYAML(
            tier: "Admin", name: "p\(priority)", priority: priority, subject: subject, egress: egress,
            ingress: ingress)
    }

    private static let xa = pod("x", "a")
    private static let baseline = ClusterPolicyYAML(
        tier: "Baseline", name: "default", priority: 1, subject: all, ingress: [Rule("Deny", all)])
    private static func isolated(from peer: String) -> String {
        """
        {podSelector: {matchLabels: {pod: a}}, policyTypes: [Ingress], ingress: [{from: [\(peer)], \
        ports: [{protocol: UDP, port: 80}]}]}
        """
    }

    static let cases: [SimulatorCase] = [
        .init(
            "default protocol, egress", admin(100, xa, egress: [Rule("Deny", pod("x", "b"), ports: "t80")])
        ) { $0 == "x/a" && $1 == "x/b" && $2 == "t80" },
        .init(
            "default protocol, ingress", admin(100, xa, ingress: [Rule("Deny", pod("x", "b"), ports: "t80")])
        ) { $0 == "x/b" && $1 == "x/a" && $2 == "t80" },
        .init("named port", admin(100, xa, ingress: [Rule("Deny", pod("x", "b"), ports: "serve-80")])) {
            $0 == "x/b" && $1 == "x/a" && $2 == "t80"
        },
        .init("range", admin(100, xa, ingress: [Rule("Deny", namespace("x"), ports: "t80-81")])) {
            $0 == "x/b" && $1 == "x/a" && $2.hasPrefix("t")
        },
        .init("other namespace", admin(100, xa, ingress: [Rule("Deny", namespace("y"), ports: "u80")])) {
            $0.hasPrefix("y") && $1 == "x/a" && $2 == "u80"
        },
        .init(
            "order 1",
            admin(
                100, xa,
                ingress: [Rule("Accept", pod("y", "a"), ports: "u80"), Rule("Deny", namespace("y"), ports: "u80")])
        ) { $0 == "y/b" && $1 == "x/a" && $2 == "u80" },
        .init(
            "order 2",
            admin(
                100, xa,
                ingress: [Rule("Deny", namespace("y"), ports: "u80"), Rule("Accept", pod("y", "a"), ports: "u80")])
        ) { $0.hasPrefix("y") && $1 == "x/a" && $2 == "u80" },
        .init(
            "priority 1", admin(99, all, egress: [Rule("Accept", all, ports: testPorts)]),
            admin(100, all, egress: [Rule("Deny", all, ports: testPorts)])
        ) { _, _, _ in false },
        .init(
            "priority 2", admin(101, all, egress: [Rule("Accept", all, ports: testPorts)]),
            admin(100, all, egress: [Rule("Deny", all, ports: testPorts)])
        ) { _, _, _ in true },
        .init(
            "Allow beats NetworkPolicy", admin(99, all, ingress: [Rule("Accept", all, ports: testPorts)]),
            networkPolicy: isolated(from: "{namespaceSelector: {}}")
        ) { _, _, _ in false },
        .init(
            "Allow some", admin(99, all, ingress: [Rule("Accept", namespace("x"), ports: testPorts)]),
            networkPolicy: isolated(from: "{namespaceSelector: {}}")
        ) { $0.hasPrefix("y") && $1 == "x/a" && $2 != "u80" },
        .init(
            "NetworkPolicy before Baseline", baseline,
            networkPolicy: isolated(from: "{podSelector: {matchLabels: {pod: b}}}")
        ) { !($0 == "x/b" && $1 == "x/a" && $2 == "u80") },
        .init(
            "ANP before Baseline", admin(100, xa, ingress: [Rule("Accept", namespace("x"), ports: "u80")]), baseline
        ) { !($0 == "x/b" && $1 == "x/a" && $2 == "u80") },
        .init(
            "Pass to Baseline", admin(100, xa, ingress: [Rule("Pass", namespace("x"), ports: "u80")]),
            admin(101, all, ingress: [Rule("Accept", all)]), baseline
        ) { $0 == "x/b" && $1 == "x/a" && $2 == "u80" },
    ]
}

@Suite("More cases of cluster-wide policies in the kernel", .requiresRoot)
struct ClusterPolicyCasesKernelTests {
    private typealias YAML = ClusterPolicyYAML

    @Test("upstream's simulator agrees", arguments: SimulatorCase.cases, YAML.Version.allCases)
    func simulator(_ item: SimulatorCase, _ version: ClusterPolicyYAML.Version) throws {
        let pods = ["x", "y"].flatMap { namespace in ["a", "b"].map { "\(namespace)/\($0)" } }
        let cluster = try PolicyCluster(
            ["x", "y"].map { name in
                KubernetesFixture.namespace("\(name)x", "{ns: \(name)x}")
                    + ["a", "b"].map {
                        KubernetesFixture.pod(
                            $0, namespace: "\(name)x", labels: "{pod: \($0)}",
                            ports: "[{name: serve-80, containerPort: 80}]")
                    }.joined()
            }.joined())
        try cluster.apply(
            item.policies.map { $0.text(version) }.joined()
                + (item.networkPolicy.map { NodeCase.policy("np", namespace: "xx", $0) } ?? ""))
        var (allowed, dropped) = ("", "")
        for from in pods {
            for to in pods where to != from {
                for port in ["t80", "t81", "u80", "u81"] {
                    let text = "\(from)→\(to) \(port); ".replacing("/", with: "x/")
                    if item.dropped(from, to, port) { dropped += text } else { allowed += text }
                }
            }
        }
        try PolicyNotation(cluster: cluster).check(
            allowed: allowed.trimmed, dropped: dropped.trimmed, item.testDescription)
    }

    // MARK: The lab's own cases

    private func check(
        _ policies: String, allowed: String, dropped: String, more: String = ""
    ) throws {
        let cluster = try PolicyCluster(NetworkPolicyLine.cluster)
        try cluster.apply(policies + more)
        try PolicyNotation(cluster: cluster).check(allowed: allowed, dropped: dropped)
    }

    private func policy(
        _ tier: String, _ priority: Int = 10, name: String? = nil, subject: String = "{namespaces: {}}",
        egress: [ClusterPolicyYAML.Rule] = [], ingress: [ClusterPolicyYAML.Rule] = []
    ) -> String {
        YAML(
            tier: tier, name: name ?? "p\(priority)-\(tier.lowercased())", priority: priority, subject: subject,
            egress: egress, ingress: ingress
        ).text(.v1alpha2)
    }

    private static let all = "{namespaces: {}}"
    private static let a = "{pods: {podSelector: {matchLabels: {app: a}}}}"
    private static let b = "{pods: {podSelector: {matchLabels: {app: b}}}}"

    @Test("an egress Accept does not excuse the destination's ingress")
    func bothEnds() throws {
        let cluster = try PolicyCluster(NetworkPolicyLine.cluster)
        try cluster.apply(
            policy("Admin", 1, subject: Self.a, egress: [.init("Accept", Self.all)])
                + policy("Admin", 2, subject: Self.b, ingress: [.init("Deny", Self.all)]))
        let answers = try cluster.ask(PolicyNotation(cluster: cluster).probes("a→b t80"))
        for answer in answers {
            guard case .dropped(let reason) = answer.fate else { continue }
            #expect(reason.direction == .ingress)
            #expect(reason.policies.map(\.name) == ["p2-admin"])
        }
        #expect(answers.allSatisfy { $0.fate.isDropped })
    }

    @Test("isolated for Egress only: ingress falls through to Baseline")
    func fallThrough() throws {
        try check(
            policy("Baseline", ingress: [.init("Deny", Self.all)]), allowed: "a→world t80", dropped: "b→a t80",
            more: NodeCase.policy("np", "{podSelector: {}, policyTypes: [Egress], egress: [{}]}"))
    }

    @Test("a NetworkPolicy without rules drops; Baseline is never asked")
    func isolatedBeforeBaseline() throws {
        try check(
            policy("Baseline", ingress: [.init("Accept", Self.all)]), allowed: "a→other/b t80", dropped: "b→a t80",
            more: NodeCase.policy("np", "{podSelector: {}, policyTypes: [Ingress]}"))
    }

    @Test("Pass in Baseline ends there; several Baseline policies go by priority")
    func baselines() throws {
        let deny = [ClusterPolicyYAML.Rule("Deny", Self.all)]
        try check(
            policy("Baseline", 5, egress: [.init("Pass", Self.b)]) + policy("Baseline", 10, egress: deny),
            allowed: "a→b t80", dropped: "a→c t80")
        try check(
            policy("Baseline", 5, egress: [.init("Accept", Self.b)]) + policy("Baseline", 10, egress: deny),
            allowed: "a→b t80", dropped: "a→c t80")
        try check(
            policy("Baseline", 10, egress: [.init("Accept", Self.b)]) + policy("Baseline", 5, egress: deny),
            allowed: "a→world t80", dropped: "a→b t80; a→c t80")
    }

    @Test("0.0.0.0/0 does not cover IPv6")
    func families() throws {
        try check(
            policy("Admin", egress: [.init("Deny", "{networks: [0.0.0.0/0]}")]), allowed: "a→world 6t80; a→b 6t80",
            dropped: "a→world 4t80; a→b 4t80; a→node 4t80")
    }

    @Test("namespaces: {} means every pod and nothing else", arguments: ["Admin", "Baseline"])
    func everyPod(_ tier: String) throws {
        try check(
            policy(tier, egress: [.init("Deny", Self.all)]),
            allowed: "a→world t80; a→node t80; node→a t80; world→a t80",
            dropped: "a→b t80; a→other/b t80 i")
        try check(
            policy(tier, ingress: [.init("Deny", Self.all)]),
            allowed: "a→world t80; a→node t80; node→a t80; world→a t80", dropped: "a→b t80; a→other/b t80 i")
    }

    @Test("the reply of an accepted flow is delivered under a Deny of all egress", arguments: IPFamily.allCases)
    func replies(_ family: IPFamily) throws {
        let cluster = try PolicyCluster(NetworkPolicyLine.cluster)
        try cluster.apply(
            policy("Admin", subject: Self.b, egress: [.init("Deny", "{networks: [0.0.0.0/0, \"::/0\"]}")]))
        try cluster.connect("a", to: "b", port: 8080, family)
    }

    @Test("ping under a Deny without protocols, and under one with all ports")
    func ping() throws {
        try check(
            policy("Admin", egress: [.init("Deny", Self.b)]), allowed: "a→c i", dropped: "a→b i x t1 u1 s1")
        try check(
            policy("Admin", egress: [.init("Deny", Self.b, ports: "t1-65535 u1-65535 s1-65535")]),
            allowed: "a→b i x", dropped: "a→b t1 t65535 u1 s1")
    }

    @Test("a pod is not judged on its way to itself, but through its Service it is", arguments: IPFamily.allCases)
    func itself(_ family: IPFamily) throws {
        let cluster = try PolicyCluster(NetworkPolicyLine.cluster)
        try cluster.apply(policy("Admin", egress: [.init("Deny", Self.a)]))
        try cluster.connect("a", to: "a", port: 8080, family)
        try PolicyNotation(cluster: cluster).check(allowed: "b→svc:b t80", dropped: "a→svc:a t80; b→a t80")
        // Isolated by a NetworkPolicy it reaches itself; not so where only Baseline is asked.
        try cluster.replacePolicies(by: [])
        try cluster.apply(policy("Baseline", egress: [.init("Deny", Self.all)]))
        try PolicyNotation(cluster: cluster).check(allowed: "", dropped: "a→svc:a t80")
        try cluster.apply(NodeCase.policy("np", "{podSelector: {}, policyTypes: [Egress]}"))
        try PolicyNotation(cluster: cluster).check(allowed: "a→svc:a t80; a→node t80", dropped: "a→b t80")
    }

    @Test("a Service is judged by the pod behind it; its address matches nothing")
    func service() throws {
        let cluster = try PolicyCluster(NetworkPolicyLine.cluster)
        try cluster.apply(policy("Admin", egress: [.init("Deny", Self.b)]))
        let notation = PolicyNotation(cluster: cluster)
        try notation.check(allowed: "b→svc:a t80", dropped: "a→svc:b t80")
        try cluster.replacePolicies(by: [])
        let range = "{networks: [10.96.0.0/16, \"fd00:10:96::/112\"]}"
        try cluster.apply(policy("Admin", egress: [.init("Deny", range)]))
        try notation.check(allowed: "a→svc:b t80", dropped: "")
    }

    @Test("of equal priorities the name decides, and the verdict that hangs on it is ambiguous")
    func equalPriorities() throws {
        let cluster = try PolicyCluster(NetworkPolicyLine.cluster)
        try cluster.apply(
            policy("Admin", 7, name: "b-accept", egress: [.init("Accept", Self.b)])
                + policy("Admin", 7, name: "a-deny", egress: [.init("Deny", Self.all)]))
        #expect(cluster.diagnostics.map(\.severity) == [.warning], "\(cluster.diagnostics)")
        let answers = try cluster.ask(PolicyNotation(cluster: cluster).probes("a→b t80; a→c t80"))
        #expect(answers.allSatisfy { $0.fate.isDropped })
        #expect(
            answers.map(\.prediction.ambiguous.count) == [2, 2, 0, 0], "\(answers.map(\.prediction.ambiguous))")
    }

    @Test("both API versions at once are an error")
    func versions() {
        var fixture = KubernetesFixture(
            policy("Admin", egress: [.init("Deny", Self.b)])
                + YAML(
                    tier: "Admin", name: "old", priority: 1, subject: Self.all,
                    egress: [.init("Deny", "{namespaces: {}}")]
                ).text(.v1alpha1))
        let (_, diagnostics) = fixture.planAndDiagnose()
        #expect(diagnostics.map(\.severity) == [.error], "\(diagnostics)")
    }
}

extension String {
    fileprivate var trimmed: String { String(self[..<(lastIndex(of: ";") ?? endIndex)]) }
}
