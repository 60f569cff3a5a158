import Glibc
import Manifests
import Mesh
import Netlink
import NetworkAddresses
import TestSupport
import Testing

@Suite("The node's verdicts on real packets", .requiresRoot)
struct NodeRulesetBehaviourKernelTests {
    /// One question to document 003's policy (networkpolicy.md §5), asked from test-egress/sleep.
    struct Probe: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var transport: IPProtocol
        /// A pod, or an address outside.
        var pod: PodID?
        var outside: [IPFamily: String] = [:]
        var port: UInt16
        var isAllowed: Bool

        private static let dns = PodID(namespace: "kube-system", name: "kube-dns")
        private static let gateway = PodID(namespace: "istio-system", name: "egressgateway")
        private static let other = PodID(namespace: "test-egress", name: "other")
        private static let google = [IPFamily.ipv4: "8.8.8.8", .ipv6: "2001:4860:4860::8888"]

        static let all: [Probe] = [
            .init(testDescription: "UDP 53 to kube-system", transport: .udp, pod: dns, port: 53, isAllowed: true),
            .init(testDescription: "TCP 53 to kube-system", transport: .tcp, pod: dns, port: 53, isAllowed: false),
            .init(testDescription: "UDP 54 to kube-system", transport: .udp, pod: dns, port: 54, isAllowed: false),
            .init(testDescription: "TCP to istio-system", transport: .tcp, pod: gateway, port: 8443, isAllowed: true),
            .init(testDescription: "UDP to istio-system", transport: .udp, pod: gateway, port: 1234, isAllowed: true),
            .init(testDescription: "TCP to test-egress", transport: .tcp, pod: other, port: 80, isAllowed: false),
            .init(testDescription: "UDP 53 outside", transport: .udp, outside: google, port: 53, isAllowed: false),
            .init(testDescription: "TCP 443 outside", transport: .tcp, outside: google, port: 443, isAllowed: false),
        ]
    }

    @Test("document 003's policy gives the verdicts of its table", arguments: Probe.all, IPFamily.allCases)
    func document003(_ probe: Probe, _ family: IPFamily) throws {
        let lab = try MiniLab(KubernetesFixture.plan(NodeCase.document003))
        let outside = probe.outside[family].flatMap(IPAddress.init)
        let address = try probe.pod.map { try lab.address($0.name, in: $0.namespace, family) } ?? #require(outside)
        let target = IPEndpoint(address, probe.port)
        let type = probe.transport == .tcp ? SOCK_STREAM : SOCK_DGRAM
        let client = try PodSocket(family, type, in: lab.namespace("sleep", in: "test-egress"))
        guard probe.isAllowed, let pod = probe.pod else {
            if probe.transport == .tcp { client.startConnecting(to: target) } else { try client.send(to: target) }
            let drop = try #require(try lab.logged(to: target, probe.transport))
            let reason = try #require(lab.plan.node.dropReasons[drop.prefix])
            #expect(drop.group == LabConstants.dropLogGroup && reason.pod?.name == "sleep")
            #expect(reason.direction == .egress && reason.policies.count == 1)
            return
        }
        let server = try PodSocket(family, type, in: lab.namespace(pod.name, in: pod.namespace))
        try server.bind(to: IPEndpoint(family == .ipv4 ? .anyIPv4 : .anyIPv6, probe.port))
        if probe.transport == .tcp {
            try server.listen()
            try client.connect(to: target)
        } else {
            try client.send(to: target)
            #expect(server.receives())
        }
    }

    @Test("what leaves the cluster is logged at the boundary", arguments: IPFamily.allCases)
    func boundary(_ family: IPFamily) throws {
        let lab = try MiniLab(KubernetesFixture.plan(NodeCase.document003))
        let text = family == .ipv4 ? "203.0.113.9" : "2001:db8::9"
        let target = IPEndpoint(try #require(IPAddress(text)), 5000)
        try PodSocket(family, SOCK_DGRAM, in: lab.namespace("bystander")).send(to: target)
        let packet = try #require(try lab.logged(to: target, .udp))
        #expect(packet.group == LabConstants.boundaryLogGroup && packet.prefix == "boundary")
    }

    private static let isolatedService =
        KubernetesFixture.pod("web", labels: "{app: web}") + KubernetesFixture.pod("client")
        + NodeCase.policy("deny", "{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress, Egress]}")
            + """
            apiVersion: v1
            kind: Service
            metadata: {name: web}
            spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
            """

    @Test("an isolated pod reaches itself through its Service", arguments: IPFamily.allCases)
    func hairpin(_ family: IPFamily) throws {
        let lab = try MiniLab(KubernetesFixture.plan(Self.isolatedService))
        let web = try lab.namespace("web")
        let service = try #require(
            lab.plan.dns.records["web.default.svc.cluster.local"]?.first { $0.family == family })
        let server = try PodSocket(family, SOCK_STREAM, in: web)
        try server.bind(to: IPEndpoint(family == .ipv4 ? .anyIPv4 : .anyIPv6, 8080))
        try server.listen()
        try PodSocket(family, SOCK_STREAM, in: web).connect(to: IPEndpoint(service, 80))
    }

    @Test("policy judges the pod behind the Service, and names it", arguments: IPFamily.allCases)
    func ingressThroughService(_ family: IPFamily) throws {
        let lab = try MiniLab(KubernetesFixture.plan(Self.isolatedService))
        let service = try #require(
            lab.plan.dns.records["web.default.svc.cluster.local"]?.first { $0.family == family })
        let client = try PodSocket(family, SOCK_STREAM, in: lab.namespace("client"))
        client.startConnecting(to: IPEndpoint(service, 80))
        let drop = try #require(try lab.logged(to: IPEndpoint(try lab.address("web", family), 8080), .tcp))
        #expect(drop.prefix == "ingress default/web: NetworkPolicy default/deny")
    }

    @Test("a Service's address refuses ports that it does not have", arguments: IPFamily.allCases)
    func refused(_ family: IPFamily) throws {
        let lab = try MiniLab(KubernetesFixture.plan(Self.isolatedService))
        let service = try #require(
            lab.plan.dns.records["web.default.svc.cluster.local"]?.first { $0.family == family })
        let client = try PodSocket(family, SOCK_STREAM, in: lab.namespace("client"))
        let failure = try #require(throws: PodSocket.Failure.self) { try client.connect(to: IPEndpoint(service, 81)) }
        #expect(failure.errno == ECONNREFUSED)
    }

    @Test("with session affinity a client comes to one pod, however often it calls", arguments: IPFamily.allCases)
    func affinity(_ family: IPFamily) throws {
        let lab = try MiniLab(
            KubernetesFixture.plan(
                KubernetesFixture.pod("a", labels: "{app: web}") + KubernetesFixture.pod("b", labels: "{app: web}")
                    + KubernetesFixture.pod("client")
                        + """
                        apiVersion: v1
                        kind: Service
                        metadata: {name: web}
                        spec: {selector: {app: web}, sessionAffinity: ClientIP, ports: [{port: 80, targetPort: 8080}]}
                        """))
        let service = try #require(
            lab.plan.dns.records["web.default.svc.cluster.local"]?.first { $0.family == family })
        let servers = try ["a", "b"].map { name in
            let server = try PodSocket(family, SOCK_STREAM, in: lab.namespace(name))
            try server.bind(to: IPEndpoint(family == .ipv4 ? .anyIPv4 : .anyIPv6, 8080))
            try server.listen()
            server.stopWaiting()
            return server
        }
        for _ in 0..<8 {
            try PodSocket(family, SOCK_STREAM, in: lab.namespace("client")).connect(to: IPEndpoint(service, 80))
        }
        let counts = servers.map { server in
            var count = 0
            while server.hasConnection() { count += 1 }
            return count
        }
        #expect(counts.sorted() == [0, 8])
    }

    @Test("a client that has been away for the affinity's time is led anew")
    func affinityEnds() throws {
        let names = (0..<8).map { "web-\($0)" }
        let lab = try MiniLab(
            KubernetesFixture.plan(
                names.map { KubernetesFixture.pod($0, labels: "{app: web}") }.joined() + KubernetesFixture.pod("client")
                    + """
                    apiVersion: v1
                    kind: Service
                    metadata: {name: web}
                    spec:
                      {selector: {app: web}, sessionAffinity: ClientIP, ports: [{port: 80, targetPort: 8080}],
                      sessionAffinityConfig: {clientIP: {timeoutSeconds: 1}}}
                    """))
        let service = try #require(
            lab.plan.dns.records["web.default.svc.cluster.local"]?.first { $0.family == .ipv4 })
        let servers = try names.map { name in
            let server = try PodSocket(.ipv4, SOCK_STREAM, in: lab.namespace(name))
            try server.bind(to: IPEndpoint(.anyIPv4, 8080))
            try server.listen()
            server.stopWaiting()
            return server
        }
        /// The server that one more call comes to.
        func next() throws -> Int? {
            try PodSocket(.ipv4, SOCK_STREAM, in: lab.namespace("client")).connect(to: IPEndpoint(service, 80))
            return servers.firstIndex { $0.hasConnection() }
        }
        let start = ContinuousClock.now
        let first = try #require(try next())
        var last = first
        while ContinuousClock.now - start < .seconds(20), last == first {
            // Each call within the time begins it again.
            for _ in 0..<4 { #expect(try next() == last) }
            // The time itself is what is to pass.
            usleep(1_100_000)
            last = try #require(try next())
        }
        // Of eight pods the same one by chance, many times in a row: hardly.
        #expect(last != first)
    }

    @Test("the node reaches isolated pods", arguments: IPFamily.allCases)
    func node(_ family: IPFamily) throws {
        let lab = try MiniLab(KubernetesFixture.plan(Self.isolatedService))
        let server = try PodSocket(family, SOCK_STREAM, in: lab.namespace("web"))
        try server.bind(to: IPEndpoint(family == .ipv4 ? .anyIPv4 : .anyIPv6, 8080))
        try server.listen()
        try PodSocket(family, SOCK_STREAM, in: lab.node).connect(to: IPEndpoint(try lab.address("web", family), 8080))
    }
}
