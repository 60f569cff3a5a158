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

    /// Three namespaces with three pods each, whose labels change from case to case.
    private static func pods(_ generator: inout PolicyGenerator) -> String {
        func text(_ labels: [String: String]) -> String {
            "{\(labels.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: ", "))}"
        }
        return PolicyGenerator.namespaces.map { namespace in
            KubernetesFixture.namespace(namespace, text(generator.labels()))
                + (0..<3).map { number in
                    KubernetesFixture.pod(
                        "p\(number)", namespace: namespace, labels: text(generator.labels()),
                        ports: """
                            [{name: web, containerPort: \(80 + number % 2)}, \
                            {name: dns, containerPort: 53, protocol: \(number == 2 ? "TCP" : "UDP")}, \
                            {name: sig, containerPort: 8080, protocol: SCTP}]
                            """)
                }.joined()
        }.joined()
    }

    private static let outside = ["203.0.113.9", "2001:db8::9"].compactMap { IPAddress($0) }

    private static func services() -> String {
        PolicyGenerator.namespaces.map { namespace in
            """
            apiVersion: v1
            kind: Pod
            metadata: {name: own, namespace: \(namespace), labels: {app: own}}
            spec: {containers: [{name: main, image: main, ports: [{name: web, containerPort: 80}]}]}
            ---
            apiVersion: v1
            kind: Service
            metadata: {name: own, namespace: \(namespace)}
            spec:
              selector: {app: own}
              ports: [{name: web, port: 8000, targetPort: 80}, {name: dns, port: 53, protocol: UDP}]
            ---

            """
        }.joined()
    }

    private static func probe(_ random: inout PolicyRandom, _ cluster: PolicyCluster) -> PolicyProbe {
        let pods = cluster.plan.pods.map(\.pod).filter { PolicyGenerator.namespaces.contains($0.id.namespace) }
        let family = random.pick(IPFamily.allCases)
        let source = random.pick(pods)
        let from: PolicyProbe.Source
        switch Int.random(in: 0..<12, using: &random) {
        case 0: from = .node
        case 1: from = .internet(outside[family == .ipv4 ? 0 : 1])
        default: from = .pod(source.id)
        }
        var isInside = true
        var to = random.pick(pods).addresses.first { $0.family == family }
        var port = random.pick(PolicyGenerator.ports + [9000])
        if case .pod = from {
            switch Int.random(in: 0..<12, using: &random) {
            case 0: to = cluster.plan.node.addresses.first { $0.family == family }
            case 1: (to, isInside) = (outside.first { $0.family == family }, false)
            case 2:
                let name = "own.\(random.pick(PolicyGenerator.namespaces)).svc.cluster.local"
                to = cluster.plan.dns.records[name]?.first { $0.family == family }
                port = 8000
                return PolicyProbe(from: from, transport: .tcp, to: IPEndpoint(to ?? .anyIPv4, port))
            default: break
            }
        }
        // A pod's packets to itself never come to the node.
        if case .pod = from, isInside, source.addresses.contains(to ?? .anyIPv4) { return probe(&random, cluster) }
        return PolicyProbe(
            from: from, transport: random.pick([.tcp, .tcp, .udp, .sctp, .icmp]),
            to: IPEndpoint(to ?? .anyIPv4, port))
    }

    @Test("the kernel does with every packet what the oracle says")
    func agree() throws {
        let count = Self.number("EGRESS_LAB_POLICY_CASES", 300)
        let first = Self.number("EGRESS_LAB_POLICY_SEED", 1)
        var start = PolicyGenerator(seed: 0, addresses: [])
        let cluster = try PolicyCluster(Self.pods(&start) + Self.services())
        let addresses =
            cluster.plan.pods.flatMap(\.pod.addresses) + cluster.plan.node.addresses + Self.outside
        var tally = (allowed: 0, dropped: 0)
        for seed in first..<first + count {
            var generator = PolicyGenerator(seed: seed, addresses: addresses)
            if generator.random.once(in: 3) { try cluster.apply(Self.pods(&generator)) }
            let networkPolicies = (0..<Int.random(in: 0...4, using: &generator.random)).map {
                generator.networkPolicy($0)
            }
            let isNew = generator.random.once(in: 2)
            let others = generator.clusterPolicies(Int.random(in: 0...4, using: &generator.random), isNew)
            try cluster.replacePolicies(by: networkPolicies as [any Resource] + others)
            let probes = (0..<60).map { _ in Self.probe(&generator.random, cluster) }
            let answers = try cluster.ask(Array(Set(probes)))
            let disagreements = answers.filter { $0.prediction.isAllowed == $0.fate.isDropped || $0.fate == .lost }
            if !disagreements.isEmpty {
                Issue.record("seed \(seed): \(disagreements.count) of \(answers.count)\n\(networkPolicies)\n\(others)")
                break
            }
            tally.allowed += answers.count { !$0.fate.isDropped }
            tally.dropped += answers.count { $0.fate.isDropped }
        }
        // Policies that always say the same would prove nothing.
        #expect(tally.allowed > Int(count) * 5 && tally.dropped > Int(count) * 5, "\(tally)")
    }
}
