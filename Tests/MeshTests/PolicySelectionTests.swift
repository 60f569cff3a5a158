import Manifests
import Mesh
import NetworkAddresses
import Nftables
import Testing

@Suite("Whom NetworkPolicies select")
struct PolicySelectionTests {
    /// Pods a (app=a, tier=1), b (app=b) and c (no labels) in default; d (app=a) in other, which is labelled team=x.
    private static let pods =
        KubernetesFixture.namespace("other", "{team: x}")
        + KubernetesFixture.pod("a", labels: "{app: a, tier: \"1\"}") + KubernetesFixture.pod("b", labels: "{app: b}")
        + KubernetesFixture.pod("c") + KubernetesFixture.pod("d", namespace: "other", labels: "{app: a}")

    struct Selection: CustomTestStringConvertible, Sendable {
        var selector: String
        var selected: [String]
        var testDescription: String { selector }

        init(_ selector: String, _ selected: String...) { (self.selector, self.selected) = (selector, selected) }

        static let pods: [Selection] = [
            .init("{}", "a", "b", "c"), .init("{matchLabels: {app: a}}", "a"),
            .init("{matchLabels: {app: a, tier: \"2\"}}"),
            .init("{matchExpressions: [{key: app, operator: In, values: [a, b]}]}", "a", "b"),
            .init("{matchExpressions: [{key: app, operator: NotIn, values: [a]}]}", "b", "c"),
            .init("{matchExpressions: [{key: app, operator: Exists}]}", "a", "b"),
            .init("{matchExpressions: [{key: app, operator: DoesNotExist}]}", "c"),
            .init(
                "{matchLabels: {app: a}, matchExpressions: [{key: tier, operator: Exists}]}", "a"),
        ]

        static let peers: [Selection] = [
            .init("{podSelector: {}}", "a", "b", "c"), .init("{podSelector: {matchLabels: {app: a}}}", "a"),
            .init("{namespaceSelector: {}}", "a", "b", "c", "d", "kube-dns"),
            .init("{namespaceSelector: {matchLabels: {team: x}}}", "d"),
            .init("{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}", "kube-dns"),
            .init("{namespaceSelector: {}, podSelector: {matchLabels: {app: a}}}", "a", "d"),
            .init("{namespaceSelector: {matchLabels: {team: x}}, podSelector: {matchLabels: {app: b}}}"),
            .init("{podSelector: {matchLabels: {app: b}}}, {namespaceSelector: {matchLabels: {team: x}}}", "b", "d"),
            // Pods are addresses too, after the Service's translation.
            .init("{ipBlock: {cidr: 10.244.0.3/32}}", "a"),
        ]
    }

    @Test("the pod selector isolates pods of the policy's own namespace", arguments: Selection.pods)
    func podSelector(_ item: Selection) {
        let plan = KubernetesFixture.plan(Self.pods + NodeCase.policy("p", "{podSelector: \(item.selector)}"))
        #expect(Set(plan.node.dropReasons.values.compactMap(\.pod?.name)) == Set(item.selected))
        #expect(plan.node.dropReasons.values.allSatisfy { $0.direction == .ingress })
    }

    @Test("a rule's peers are the pods that any of its elements selects", arguments: Selection.peers)
    func peers(_ item: Selection) {
        let plan = KubernetesFixture.plan(
            Self.pods
                + NodeCase.policy(
                    "p",
                    "{podSelector: {}, policyTypes: [Egress], egress: [{to: [\(item.selector)], ports: [{port: 1}]}]}"))
        let sets = plan.node.ruleset.tables.first { $0.name == "egress-lab-policy" }?.sets ?? []
        let addresses = Set(
            sets.filter { $0.keys == [.ipv4Address] }.flatMap(\.elements).flatMap(\.key)
                .map { $0.text(as: .ipv4Address) })
        let expected = plan.pods.filter { item.selected.contains($0.pod.id.name) }.map(\.pod.addresses[0].description)
        // Neighbouring addresses are listed as one range or block.
        let covered = plan.pods.map(\.pod.addresses[0]).filter { address in
            addresses.contains { Self.range($0)?.contains(address) == true }
        }
        #expect(Set(covered.map(\.description)) == Set(expected))
    }

    private static func range(_ text: String) -> ClosedRange<IPAddress>? {
        if let prefix = IPPrefix(text) { return prefix.first...prefix.last }
        let ends = text.split(separator: "-").compactMap { IPAddress($0) }
        return ends.count == 2 ? ends[0]...ends[1] : nil
    }

    @Test("peers that stand for the same addresses share a set")
    func sharedSets() {
        let policies = (1...5).map { number in
            NodeCase.policy(
                "p\(number)", "{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: a}}}]}]}")
        }
        let plan = KubernetesFixture.plan(Self.pods + policies.joined())
        let sets = plan.node.ruleset.tables.first { $0.name == "egress-lab-policy" }?.sets ?? []
        #expect(sets.filter { $0.name.hasPrefix("peers") }.count == 2)
    }

    @Test("labels removed from the namespace leave the rule without peers")
    func labelsRemoved() {
        var fixture = KubernetesFixture(NodeCase.document003)
        #expect(fixture.plan().node.ruleset.text.contains("@peers-1"))
        fixture.apply(KubernetesFixture.namespace("kube-system") + KubernetesFixture.namespace("istio-system"))
        let text = fixture.plan().node.ruleset.text
        #expect(!text.contains("@peers") && text.contains("egress-drop-veth2"))
        fixture.delete("NetworkPolicy", "test-egress", "allow-egress-to-istio-system-and-kube-dns")
        #expect(fixture.plan().node.dropReasons.isEmpty)
    }
}
