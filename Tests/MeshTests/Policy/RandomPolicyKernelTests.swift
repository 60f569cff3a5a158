import Foundation
import Manifests
import Mesh
import NetworkAddresses
import PolicyOracle
import TestSupport
import Testing

/// Random policies, pods and flows through the compiler and the kernel on one side, and through the oracle on the other.
///
/// `EGRESS_LAB_POLICY_CASES` and `EGRESS_LAB_POLICY_SEED` ask for more than CI does, and for others.
@Suite("Random policies in the kernel and by the oracle", .requiresRoot)
struct RandomPolicyKernelTests {
    private static func number(_ name: String, _ fallback: UInt64) -> UInt64 {
        ProcessInfo.processInfo.environment[name].flatMap { UInt64($0) } ?? fallback
    }

    private static func text(_ labels: [String: String]) -> String {
        "{\(labels.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: ", "))}"
    }

    private static let nodes = ["east", "west"]

    /// Three namespaces with three pods each, and two nodes; their labels change from case to case.
    private static func cluster(_ generator: inout PolicyGenerator) -> String {
        nodes.map { node in
            "{apiVersion: v1, kind: Node, metadata: {name: \(node), labels: \(text(generator.labels()))}}\n---\n"
        }.joined()
            + PolicyGenerator.namespaces.map { namespace in
                KubernetesFixture.namespace(namespace, text(generator.labels()))
                    + (0..<3).map { number in
                        KubernetesFixture.pod(
                            "p\(number)", namespace: namespace, labels: text(generator.labels()),
                            ports: """
                                [{name: web, containerPort: \(80 + number % 2)}, \
                                {name: dns, containerPort: 53, protocol: \(number == 2 ? "TCP" : "UDP")}, \
                                {name: sig, containerPort: 8080, protocol: SCTP}]
                                """, spec: "nodeName: \(nodes[number % 2])")
                    }.joined()
            }.joined()
    }

    private static let outside = ["203.0.113.9", "2001:db8::9"].compactMap { IPAddress($0) }

    /// A pod for each namespace and Services of every type in front of it.
    private static func services() -> String {
        zip(0..., zip(PolicyGenerator.namespaces, nodes + nodes)).map { number, place in
            let (namespace, node) = place
            return """
                apiVersion: v1
                kind: Pod
                metadata: {name: own, namespace: \(namespace), labels: {app: own}}
                spec:
                  nodeName: \(node)
                  containers: [{name: main, image: main, ports: [{name: web, containerPort: 80}]}]
                ---
                apiVersion: v1
                kind: Service
                metadata: {name: own, namespace: \(namespace)}
                spec:
                  type: LoadBalancer
                  selector: {app: own}
                  ports:
                  - {name: web, port: 8000, targetPort: 80, nodePort: \(31_000 + number)}
                  - {name: dns, port: 53, protocol: UDP, nodePort: \(31_100 + number)}
                  - {name: sig, port: 9000, targetPort: 8080, protocol: SCTP, nodePort: \(31_200 + number)}
                ---

                """
        }.joined()
    }

    /// Where those Services may be called: ClusterIPs, load balancers and ports of nodes.
    private static func fronts(_ plan: LabPlan) -> [(IPProtocol, IPEndpoint)] {
        let own = plan.pods.map(\.pod).filter { $0.id.name == "own" }.flatMap(\.addresses)
        return plan.translations.filter { $0.value.allSatisfy { own.contains($0.address) } }.keys
            .sorted { ($0.address, $0.port) < ($1.address, $1.port) }
            .map { front in
                switch front.port {
                case 8000, 31_000..<31_100: (.tcp, front)
                case 53, 31_100..<31_200: (.udp, front)
                default: (.sctp, front)
                }
            }
    }

    private static func probe(
        _ random: inout PolicyRandom, _ cluster: PolicyCluster, _ fronts: [(IPProtocol, IPEndpoint)]
    ) -> PolicyProbe {
        let pods = cluster.plan.pods.map(\.pod).filter { PolicyGenerator.namespaces.contains($0.id.namespace) }
        let family = random.pick(IPFamily.allCases)
        let source = random.pick(pods)
        let from: PolicyProbe.Source
        switch Int.random(in: 0..<12, using: &random) {
        case 0: from = .nodeNamed(random.pick(nodes))
        case 1: from = .internet(outside[family == .ipv4 ? 0 : 1])
        default: from = .pod(source.id)
        }
        var to = random.pick(pods).addresses.first { $0.family == family }
        let port = random.pick(PolicyGenerator.ports + [9000])
        if random.once(in: 5) {
            let (transport, front) = random.pick(fronts.filter { $0.1.address.family == family })
            // Nobody outside can reach what is the cluster's own.
            let isInside = !front.address.isExternal(of: cluster.plan)
            if case .internet = from, isInside { return probe(&random, cluster, fronts) }
            return PolicyProbe(from: from, transport: transport, to: front)
        }
        if case .pod = from {
            switch Int.random(in: 0..<8, using: &random) {
            case 0: to = random.pick(cluster.plan.nodes).addresses.first { $0.family == family }
            case 1: to = outside.first { $0.family == family }
            default: break
            }
        }
        // A pod's packets to itself never come to the node.
        if case .pod = from, source.addresses.contains(to ?? .anyIPv4) { return probe(&random, cluster, fronts) }
        return PolicyProbe(
            from: from, transport: random.pick([.tcp, .tcp, .udp, .sctp, .icmp]),
            to: IPEndpoint(to ?? .anyIPv4, port))
    }

    @Test("the kernel does with every packet what the oracle says")
    func agree() throws {
        let count = Self.number("EGRESS_LAB_POLICY_CASES", 300)
        let first = Self.number("EGRESS_LAB_POLICY_SEED", 1)
        var start = PolicyGenerator(seed: 0, addresses: [])
        let cluster = try PolicyCluster(Self.cluster(&start) + Self.services())
        let pods = cluster.plan.pods.flatMap(\.pod.addresses)
        let addresses = pods + cluster.plan.nodes.flatMap(\.addresses) + Self.outside
        let fronts = Self.fronts(cluster.plan)
        // Three Services of three ports, at four places, in two families.
        #expect(fronts.count == 72)
        var tally = (allowed: 0, dropped: 0)
        for seed in first..<first + count {
            var generator = PolicyGenerator(seed: seed, addresses: addresses)
            if generator.random.once(in: 3) { try cluster.apply(Self.cluster(&generator)) }
            let networkPolicies = (0..<Int.random(in: 0...4, using: &generator.random)).map {
                generator.networkPolicy($0)
            }
            let isNew = generator.random.once(in: 2)
            let others = generator.clusterPolicies(Int.random(in: 0...4, using: &generator.random), isNew)
            let learnt = generator.learnt(by: pods)
            try cluster.replacePolicies(by: networkPolicies as [any Resource] + others, learnt: learnt)
            let probes = (0..<60).map { _ in Self.probe(&generator.random, cluster, fronts) }
            let answers = try cluster.ask(Array(Set(probes)))
            let disagreements = answers.filter { $0.prediction.isAllowed == $0.fate.isDropped || $0.fate == .lost }
            if !disagreements.isEmpty {
                Issue.record(
                    """
                    seed \(seed): \(disagreements.count) of \(answers.count): \(disagreements)
                    \(networkPolicies)
                    \(others)
                    \(learnt)
                    """)
                break
            }
            tally.allowed += answers.count { !$0.fate.isDropped }
            tally.dropped += answers.count { $0.fate.isDropped }
        }
        // Policies that always say the same would prove nothing.
        #expect(tally.allowed > Int(count) * 5 && tally.dropped > Int(count) * 5, "\(tally)")
    }
}

extension IPAddress {
    /// True for what may be called from outside: a node, or a load balancer.
    fileprivate func isExternal(of plan: LabPlan) -> Bool {
        plan.nodes.contains { $0.addresses.contains(self) }
            || LabNetwork.loadBalancerRanges.contains { $0.contains(self) }
    }
}
