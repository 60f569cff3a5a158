import Glibc
import Manifests
import Mesh
import NetworkAddresses
import PolicyOracle
import Testing

/// A cluster whose policies change, asked packet by packet, in the kernel and by the oracle, which must agree.
final class PolicyCluster {
    private var fixture: KubernetesFixture
    private var probes: PolicyProbes
    /// What pods know by lookups.
    private var learnt: Set<PolicyWorld.LearntAddress> = []
    private(set) var plan: LabPlan
    private(set) var diagnostics: [Diagnostic] = []

    init(_ yaml: String) throws {
        fixture = KubernetesFixture(yaml)
        (plan, diagnostics) = fixture.planAndDiagnose()
        probes = try PolicyProbes(plan)
    }

    /// Applies objects; they are in force when it returns.
    func apply(_ yaml: String) throws {
        fixture.apply(yaml)
        try update()
    }

    func delete(_ kind: String, _ name: String, in namespace: String = "") throws {
        fixture.delete(kind, namespace, name)
        try update()
    }

    /// Puts other objects of these kinds in the place of all that there are.
    func replacePolicies(by resources: [any Resource], learnt: Set<PolicyWorld.LearntAddress> = []) throws {
        self.learnt = learnt
        for old in fixture.resources.all where old is NetworkPolicy || old is ClusterPolicy {
            fixture.resources.delete(old.id)
        }
        for resource in resources { fixture.resources.apply(resource) }
        try update()
    }

    private func update() throws {
        (plan, diagnostics) = fixture.planAndDiagnose()
        #expect(diagnostics.allSatisfy { $0.severity < .unsupported }, "\(diagnostics)")
        try probes.install(plan, knowing: learnt)
    }

    var resources: ResourceSet { fixture.resources }

    // MARK: Asking

    struct Answer {
        var probe: PolicyProbe
        var fate: PolicyFate
        var prediction: PolicyPrediction
    }

    /// Sends the packets; each fate must be what the oracle predicts.
    func ask(_ list: [PolicyProbe], sourceLocation: Testing.SourceLocation = #_sourceLocation) throws -> [Answer] {
        let oracle = PolicyOracle(world)
        let fates = try probes.send(list)
        return zip(list, fates).map { probe, fate in
            let prediction = oracle.judge(packet(probe))
            #expect(fate != .lost, "\(probe) was neither passed nor dropped", sourceLocation: sourceLocation)
            #expect(
                prediction.isAllowed == !fate.isDropped,
                "\(probe): the kernel says \(fate), the oracle \(prediction.reasons)", sourceLocation: sourceLocation)
            return Answer(probe: probe, fate: fate, prediction: prediction)
        }
    }

    private func packet(_ probe: PolicyProbe) -> PolicyPacket {
        let source: IPAddress =
            switch probe.from {
            case .internet(let address): address
            case .node: plan.node.addresses.first { $0.family == probe.to.address.family } ?? .anyIPv4
            case .nodeNamed(let name):
                plan.nodes.first { $0.name == name }?.addresses.first { $0.family == probe.to.address.family }
                    ?? .anyIPv4
            case .pod(let id):
                plan.pod(id.name, in: id.namespace)?.pod.addresses.first { $0.family == probe.to.address.family }
                    ?? .anyIPv4
            }
        guard let behind = plan.translations[probe.to]?.first else {
            return PolicyPacket(transport: probe.transport, source: source, destination: probe.to)
        }
        var packet = PolicyPacket(
            transport: probe.transport, source: source, destination: behind, isTranslated: true)
        packet.arrival = arrival(of: probe, from: source, at: behind)
        if node(at: probe.to.address).map({ $0 != home(of: probe) }) ?? false { packet.destination = probe.to }
        return packet
    }

    /// What the destination's node sees of a call to a Service: the node that translates it puts its own address in the
    /// caller's place when it leads a call to a port of its own, or to a load balancer, to another node.
    private func arrival(
        of probe: PolicyProbe, from source: IPAddress, at behind: IPEndpoint
    ) -> PolicyPacket.Arrival {
        let isExternal =
            node(at: probe.to.address) != nil
            || LabNetwork.loadBalancerRanges.contains { $0.contains(probe.to.address) }
        let translating = node(at: probe.to.address) ?? home(of: probe)
        let destination = plan.pods.first { $0.pod.addresses.contains(behind.address) }?.pod.node
        guard isExternal, translating != destination,
            let address = plan.nodes.first(where: { $0.name == translating })?.addresses
                .first(where: { $0.family == source.family })
        else { return PolicyPacket.Arrival(source: source, destination: behind) }
        return PolicyPacket.Arrival(source: address, destination: behind)
    }

    private func node(at address: IPAddress) -> String? {
        plan.nodes.first { $0.addresses.contains(address) }?.name
    }

    /// The node that a packet comes to first.
    private func home(of probe: PolicyProbe) -> String {
        switch probe.from {
        case .pod(let id): plan.pod(id.name, in: id.namespace)?.pod.node ?? ""
        case .nodeNamed(let name): name
        // Load balancers hand calls to the first.
        case .node, .internet: plan.node.name
        }
    }

    var world: PolicyWorld {
        var namespaces: [String: [String: String]] = [:]
        for namespace in fixture.resources.resources(Namespace.self) {
            namespaces[namespace.metadata.name] = namespace.metadata.labels
        }
        let labels = Dictionary(
            fixture.resources.resources(Node.self).map { ($0.metadata.name, $0.metadata.labels) }
        ) { $1 }
        let pods = plan.pods.map(\.pod).filter { !$0.spec.hostNetwork }
        var world = PolicyWorld(
            namespaces: namespaces,
            pods: pods.map { pod in
                PolicyWorld.Pod(
                    namespace: pod.id.namespace, name: pod.id.name, labels: pod.labels, addresses: pod.addresses,
                    ports: pod.spec.containers.flatMap(\.ports).compactMap { port in
                        port.name.map { .init(name: $0, transport: port.transport, number: port.number) }
                    }, node: pod.node)
            },
            nodes: plan.nodes.map { node in
                PolicyWorld.Node(
                    name: node.name,
                    labels: (labels[node.name] ?? [:]).merging(["kubernetes.io/os": "linux"]) { own, _ in own },
                    addresses: node.addresses)
            },
            networkPolicies: fixture.resources.resources(NetworkPolicy.self),
            clusterPolicies: fixture.resources.resources(ClusterPolicy.self))
        world.learnt = learnt
        return world
    }

    func address(_ name: String, in namespace: String, _ family: IPFamily = .ipv4) throws -> IPAddress {
        try #require(plan.pod(name, in: namespace)?.pod.addresses.first { $0.family == family })
    }

    // MARK: Connections

    /// Has `from` connect to a listener of `to`'s; with `meanwhile` after its first packet was dropped.
    func connect(
        _ from: String, to: String, port: UInt16, _ family: IPFamily, meanwhile: (() throws -> Void)? = nil
    ) throws {
        let (source, destination) = (PolicyNotation.id(from), PolicyNotation.id(to))
        let server = try PodSocket(family, SOCK_STREAM, in: probes.namespace(destination))
        try server.bind(to: IPEndpoint(family == .ipv4 ? .anyIPv4 : .anyIPv6, port))
        try server.listen()
        let client = try PodSocket(family, SOCK_STREAM, in: probes.namespace(source))
        let target = IPEndpoint(try address(destination.name, in: destination.namespace, family), port)
        guard let meanwhile else { return try client.connect(to: target) }
        client.startConnecting(to: target)
        #expect(!server.hasConnection(within: .milliseconds(200)))
        try meanwhile()
        // The client tries again by itself, a second after its first packet.
        #expect(server.hasConnection(within: .seconds(4)))
    }

    /// Connects, does something, and says something over the connection that there is.
    func converse(
        _ from: String, with to: String, port: UInt16, _ family: IPFamily, after meanwhile: () throws -> Void
    ) throws {
        let (source, destination) = (PolicyNotation.id(from), PolicyNotation.id(to))
        let server = try PodSocket(family, SOCK_STREAM, in: probes.namespace(destination))
        try server.bind(to: IPEndpoint(family == .ipv4 ? .anyIPv4 : .anyIPv6, port))
        try server.listen()
        let client = try PodSocket(family, SOCK_STREAM, in: probes.namespace(source))
        let target = IPEndpoint(try address(destination.name, in: destination.namespace, family), port)
        try client.connect(to: target)
        let accepted = try #require(server.acceptConnection())
        try meanwhile()
        try client.send(to: target)
        #expect(accepted.receives())
    }
}
