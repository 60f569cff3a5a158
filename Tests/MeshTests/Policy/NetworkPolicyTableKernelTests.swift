import Glibc
import Manifests
import Mesh
import NetworkAddresses
import TestSupport
import Testing

@Suite("Every line of NetworkPolicy's tables in the kernel", .requiresRoot)
struct NetworkPolicyTableKernelTests {
    private func check(_ lines: [NetworkPolicyLine]) throws {
        let cluster = try PolicyCluster(NetworkPolicyLine.cluster)
        for line in lines {
            let policies = line.policies.enumerated().map { NodeCase.policy("p\($0.offset)", $0.element) }
            try cluster.replacePolicies(by: ManifestReader.read(text: policies.joined(), file: "line.yaml").value)
            try PolicyNotation(cluster: cluster).check(
                allowed: line.allowed, dropped: line.dropped, line.description + ":")
        }
    }

    @Test("which policies apply") func whichPolicies() throws { try check(NetworkPolicyLine.whichPolicies) }

    @Test("rules and peers") func rules() throws { try check(NetworkPolicyLine.rules) }

    @Test("ports") func ports() throws { try check(NetworkPolicyLine.ports) }

    @Test("which packet is judged") func packets() throws { try check(NetworkPolicyLine.packets) }

    @Test("label changes on pods and namespaces take effect at once")
    func labels() throws {
        let cluster = try PolicyCluster(NetworkPolicyLine.cluster)
        let notation = PolicyNotation(cluster: cluster)
        let peers = "{podSelector: {matchLabels: {app: b}}}, {namespaceSelector: {matchLabels: {team: x}}}"
        try cluster.apply(
            NodeCase.policy(
                "p", "{podSelector: {matchLabels: {app: a}}, policyTypes: [Egress], egress: [{to: [\(peers)]}]}"))
        try notation.check(allowed: "a→b t80; a→other/a t80", dropped: "a→c t80")
        try cluster.apply(
            KubernetesFixture.pod("b", labels: "{app: z}") + KubernetesFixture.pod("c", labels: "{app: b}"))
        try notation.check(allowed: "a→c t80; a→other/a t80", dropped: "a→b t80")
        try cluster.apply(KubernetesFixture.namespace("other", "{team: z}"))
        try notation.check(allowed: "a→c t80", dropped: "a→other/a t80")
        try cluster.apply(KubernetesFixture.pod("a", labels: "{app: free}"))
        try notation.check(allowed: "a→b t80; a→other/a t80; a→world t80", dropped: "")
    }

    @Test("replies pass, and a pod's packets to itself never come to the node", arguments: IPFamily.allCases)
    func replies(_ family: IPFamily) throws {
        let cluster = try PolicyCluster(NetworkPolicyLine.cluster)
        try cluster.apply(
            NodeCase.policy("p", "{podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{}]}"))
        // other/a calls b, whose answers are the only packets of b's that may leave.
        try cluster.connect("other/a", to: "b", port: 8080, family)
        try cluster.connect("b", to: "b", port: 8080, family)
    }

    @Test("a client's next try gets through when a policy loosens", arguments: IPFamily.allCases)
    func loosening(_ family: IPFamily) throws {
        let cluster = try PolicyCluster(NetworkPolicyLine.cluster)
        let policy = NodeCase.policy("p", "{podSelector: {}, policyTypes: [Ingress]}")
        try cluster.apply(policy)
        try cluster.connect("a", to: "b", port: 8080, family) {
            try cluster.delete("NetworkPolicy", "p", in: "default")
        }
    }

    @Test("an established connection goes on when a policy tightens", arguments: IPFamily.allCases)
    func tightening(_ family: IPFamily) throws {
        let cluster = try PolicyCluster(NetworkPolicyLine.cluster)
        try cluster.converse("a", with: "b", port: 8080, family) {
            try cluster.apply(NodeCase.policy("p", "{podSelector: {}, policyTypes: [Ingress, Egress]}"))
        }
        try PolicyNotation(cluster: cluster).check(allowed: "", dropped: "a→b t8080")
    }

    @Test("document 003's policy, its labels removed, and the policy deleted")
    func document003() throws {
        let cluster = try PolicyCluster(NodeCase.document003)
        let notation = PolicyNotation(cluster: cluster)
        try notation.check(
            allowed: """
                test-egress/sleep→istio-system/egressgateway t8443 t1 u1 i; a→test-egress/sleep t80
                """.replacing("a→", with: "bystander→"),
            dropped: """
                test-egress/sleep→kube-system/kube-dns t53 u54 i; test-egress/sleep→test-egress/other t80; \
                test-egress/sleep→8.8.8.8 t443 u53 i; test-egress/sleep→world t443 u53 i
                """)
        try cluster.apply(KubernetesFixture.namespace("kube-system") + KubernetesFixture.namespace("istio-system"))
        try notation.check(
            allowed: "",
            dropped: """
                test-egress/sleep→kube-system/kube-dns u53 t53; test-egress/sleep→istio-system/egressgateway t8443
                """)
        try cluster.delete("NetworkPolicy", "allow-egress-to-istio-system-and-kube-dns", in: "test-egress")
        try notation.check(
            allowed: "test-egress/sleep→kube-system/kube-dns u53 t53; test-egress/sleep→world t443", dropped: "")
    }
}
