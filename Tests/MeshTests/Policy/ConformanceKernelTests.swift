import Manifests
import Mesh
import NetworkAddresses
import TestSupport
import Testing

/// One of the seven cases that both tiers have (adminnetworkpolicy.md §10.1).
struct PatternCase: CustomTestStringConvertible, Sendable {
    var tier: String
    var name: String
    var version: ClusterPolicyYAML.Version
    /// Of the table: direction, S, A, B, C, P, Q, priority.
    var cells: [String]
    var testDescription: String { "\(tier)Tier\(name) as \(version.rawValue)" }

    static let all: [PatternCase] = ["Admin", "Baseline"].flatMap { tier in
        ConformanceTables.rows(ConformanceTables.patterns).flatMap { cells in
            ClusterPolicyYAML.Version.allCases.map {
                PatternCase(tier: tier, name: cells[0], version: $0, cells: Array(cells.dropFirst()))
            }
        }
    }

    var steps: [[String]] {
        ConformanceTables.rows(ConformanceTables.steps).filter { $0[0] == name && (tier == "Admin" || $0[1] < "5") }
    }

    /// The policy's rules for a direction, as they are before the first step.
    private func rules(_ direction: String) -> [ClusterPolicyYAML.Rule] {
        guard cells[0].contains(direction) else { return [] }
        let (a, b, c) = (peer(cells[2]), peer(cells[3]), peer(cells[4]))
        // "egress t8080 …; ingress t80 …" where the directions differ.
        let q = cells[6].split(separator: ";").first { $0.contains(direction) }
        let ports = q.map { $0.split(separator: " ").dropFirst().joined(separator: " ") } ?? cells[6]
        let pass = tier == "Admin"
        return [.init("Accept", a), .init("Deny", a)] + (pass ? [.init("Pass", a)] : [])
            + [.init("Deny", b, ports: cells[5])] + (pass ? [.init("Pass", b, ports: cells[5])] : [])
            + [.init("Accept", c, ports: ports), .init("Deny", c)]
    }

    private func peer(_ house: String) -> String { ClusterPolicyYAML.named(house) }

    var policy: ClusterPolicyYAML {
        ClusterPolicyYAML(
            tier: tier, name: tier == "Admin" ? "pattern" : "default",
            priority: tier == "Admin" ? Int(cells[7]) ?? 0 : 10, subject: ClusterPolicyYAML.named(cells[1]),
            egress: rules("egress"), ingress: rules("ingress"))
    }
}

@Suite("The conformance cases of cluster-wide policies in the kernel", .requiresRoot)
struct ConformanceKernelTests {
    private typealias YAML = ClusterPolicyYAML

    @Test("a case gives the verdicts of its table", arguments: PatternCase.all)
    func pattern(_ item: PatternCase) throws {
        let conformance = try ConformanceCluster()
        var policy = item.policy
        for row in item.steps {
            let swap = row[2].split { !$0.isNumber }.compactMap { Int($0) }
            if swap.count == 2 {
                if !policy.egress.isEmpty { policy.egress.swapAt(swap[0], swap[1]) }
                if !policy.ingress.isEmpty { policy.ingress.swapAt(swap[0], swap[1]) }
            }
            try conformance.cluster.apply(policy.text(item.version))
            try conformance.check(allowed: row[3], dropped: row[4], "step \(row[1])")
        }
    }

    @Test("networks and labels of the peers' namespace", arguments: ["Admin", "Baseline"], YAML.Version.allCases)
    func networks(_ tier: String, _ version: ClusterPolicyYAML.Version) throws {
        let conformance = try ConformanceCluster()
        let both = { (house: String) in
            let label = "{matchLabels: {conformance-house: \(house)}}"
            return "{pods: {namespaceSelector: \(label), podSelector: \(label)}}"
        }
        var policy = YAML(
            tier: tier, name: "networks", priority: tier == "Admin" ? 85 : 10,
            subject: tier == "Admin" ? both("gryffindor") : YAML.named("gryffindor"),
            egress: [
                .init("Accept", both("slytherin")), .init("Deny", "{networks: [0.0.0.0/0, \"::/0\"]}"),
            ])
        for row in ConformanceTables.rows(ConformanceTables.networks) {
            switch row[0] {
            case "1b":
                try conformance.cluster.apply(
                    KubernetesFixture.namespace("slytherin", "{conformance-house: denied-namespace-label}"))
            case "1c":
                try conformance.cluster.apply(
                    KubernetesFixture.namespace("slytherin", "{conformance-house: slytherin}"))
            case "2":
                let hosts = try ["l0", "c0"].flatMap { pod in
                    try IPFamily.allCases.map { "\"\(IPPrefix(try conformance.address(pod, $0)))\"" }
                }
                policy.egress.insert(.init("Accept", "{networks: [\(hosts.joined(separator: ", "))]}"), at: 0)
            default: break
            }
            try conformance.cluster.apply(policy.text(version))
            try conformance.check(allowed: row[2], dropped: row[3], "step \(row[0])")
        }
    }

    @Test("the lower priority comes first", arguments: YAML.Version.allCases)
    func priority(_ version: ClusterPolicyYAML.Version) throws {
        let conformance = try ConformanceCluster()
        let pods = { (house: String) in
            let label = "{matchLabels: {conformance-house: \(house)}}"
            return "{pods: {namespaceSelector: \(label), podSelector: \(label)}}"
        }
        func policy(_ tier: String, _ name: String, _ priority: Int, _ action: String) -> String {
            let rule = YAML.Rule(action, pods("slytherin"))
            return YAML(
                tier: tier, name: name, priority: priority, subject: pods("gryffindor"), egress: [rule],
                ingress: [rule]
            ).text(version)
        }
        try conformance.cluster.apply(
            policy("Admin", "a", 50, "Deny") + policy("Admin", "b", 60, "Pass")
                + policy("Baseline", "default", 10, "Accept"))
        for row in ConformanceTables.rows(ConformanceTables.priorities) {
            if row[0] == "3" { try conformance.cluster.apply(policy("Admin", "b", 40, "Pass")) }
            try conformance.check(allowed: row[2], dropped: row[3], "step \(row[0])")
        }
    }

    @Test("Admin, NetworkPolicy, Baseline: each decides what those before it pass", arguments: YAML.Version.allCases)
    func integration(_ version: ClusterPolicyYAML.Version) throws {
        let conformance = try ConformanceCluster()
        let house = { (name: String) in "{namespaces: {matchLabels: {conformance-house: \(name)}}}" }
        func policy(_ tier: String, ingress: String, egress: String) -> String {
            YAML(
                tier: tier, name: tier == "Admin" ? "a" : "default", priority: 10, subject: house("gryffindor"),
                egress: [.init(egress, house("slytherin"))], ingress: [.init(ingress, house("slytherin"))]
            ).text(version)
        }
        let slytherin = "[{namespaceSelector: {matchLabels: {conformance-house: slytherin}}}]"
        try conformance.cluster.apply(
            policy("Admin", ingress: "Deny", egress: "Deny") + policy("Baseline", ingress: "Deny", egress: "Deny")
                + NodeCase.policy(
                    "b", namespace: "gryffindor",
                    """
                    {podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{from: \(slytherin)}], \
                    egress: [{to: \(slytherin)}]}
                    """))
        for row in ConformanceTables.rows(ConformanceTables.integration) {
            switch row[0] {
            case "3": try conformance.cluster.apply(policy("Admin", ingress: "Pass", egress: "Deny"))
            case "4": try conformance.cluster.apply(policy("Admin", ingress: "Pass", egress: "Pass"))
            case "5": try conformance.cluster.delete("NetworkPolicy", "b", in: "gryffindor")
            default: break
            }
            try conformance.check(allowed: row[2], dropped: row[3], "step \(row[0])")
        }
    }

    struct NamedPortCase: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var pattern: String
        var tier: String
        var rule: Int
        var port: String
        var allowed: String
        var dropped: String

        static let all: [NamedPortCase] = [
            .init(
                testDescription: "AdminTierEgressNamedPort", pattern: "EgressTCP", tier: "Admin", rule: 5, port: "web",
                allowed: "h0→c1 t80", dropped: "h1→c1 t8080"),
            .init(
                testDescription: "AdminTierIngressNamedPort", pattern: "IngressUDP", tier: "Admin", rule: 5,
                port: "dns", allowed: "h0→c1 u53", dropped: "h1→c1 u5353"),
            .init(
                testDescription: "BaselineTierEgressNamedPort", pattern: "EgressUDP", tier: "Baseline", rule: 3,
                port: "dns", allowed: "c0→h1 u53", dropped: "c1→h1 u5353"),
            .init(
                testDescription: "BaselineTierIngressNamedPort", pattern: "IngressTCP", tier: "Baseline", rule: 3,
                port: "web", allowed: "c0→h1 t80", dropped: "c1→h1 t8080"),
        ]
    }

    @Test("named ports", arguments: NamedPortCase.all, YAML.Version.allCases)
    func namedPort(_ item: NamedPortCase, _ version: ClusterPolicyYAML.Version) throws {
        let pattern = try #require(PatternCase.all.first { $0.name == item.pattern && $0.tier == item.tier })
        let conformance = try ConformanceCluster()
        var policy = pattern.policy
        if policy.egress.isEmpty {
            policy.ingress[item.rule].ports = item.port
        } else {
            policy.egress[item.rule].ports = item.port
        }
        try conformance.cluster.apply(policy.text(version))
        try conformance.check(allowed: item.allowed, dropped: item.dropped, "step 1")
    }

    @Test("nodes as peers", arguments: ["Admin", "Baseline"], YAML.Version.allCases)
    func nodes(_ tier: String, _ version: ClusterPolicyYAML.Version) throws {
        let conformance = try ConformanceCluster()
        let nodes = "{nodes: {matchLabels: {kubernetes.io/os: linux}}}"
        let everything = "{networks: [0.0.0.0/0, \"::/0\"]}"
        if tier == "Admin" {
            let label = { (house: String) in "{matchLabels: {conformance-house: \(house)}}" }
            let pods = { (house: String) in
                "{pods: {namespaceSelector: \(label(house)), podSelector: \(label(house))}}"
            }
            var deny = YAML.Rule("Deny", nodes)
            deny.peers = [pods("slytherin"), nodes, everything]
            let policy = YAML(
                tier: tier, name: "nodes", priority: 75, subject: pods("gryffindor"),
                egress: [.init("Accept", nodes, ports: "t34345"), .init("Pass", nodes, ports: "u34347"), deny])
            try conformance.cluster.apply(policy.text(version))
            try conformance.check(allowed: "h1→z1 tH0 uH2", dropped: "h1→z1 tH1 uH4 sH6; h0→d0 t80", "all steps")
        } else {
            var deny = YAML.Rule("Deny", nodes)
            deny.peers = [nodes, everything]
            let policy = YAML(
                tier: tier, name: "default", priority: 10, subject: YAML.named("gryffindor"),
                egress: [.init("Accept", nodes, ports: "t34345-34346"), deny])
            try conformance.cluster.apply(policy.text(version))
            try conformance.check(allowed: "h0→z1 tH0; h1→z1 tH1", dropped: "h1→z1 uH4 sH6", "all steps")
        }
    }
}
