package import Manifests
import NetworkAddresses
import Nftables

/// Compiles the cluster's resources into the plan of a lab, step after step.
package struct LabPlanner: Sendable {
    private let internet: [InternetHost]
    private let compatibility: Scenario.Compatibility
    private let images: [ImageStandIn]
    /// All flows of the scenario: a workload answers from the start on every port that any of them asks for.
    private let flows: [Flow]
    /// Some flow or matrix asks for SCTP.
    private let asksSCTP: Bool
    private var clusterRanges: IPPrefixSet
    private var nodes: NodeDirectory
    /// Nodes may come while the lab runs.
    private let mayGrow: Bool
    private let boundary: ClusterBoundary?
    private let name: String
    /// Addresses in `internet` that lead to Services.
    private let balancers: IPPrefixSet
    private var builder: ClusterBuilder

    /// A planner for the steps of `scenario`, in order; with `mayGrow` a lab that takes up nodes while it runs.
    package init(scenario: Scenario, mayGrow: Bool = false) {
        self.mayGrow = mayGrow
        internet = scenario.internet
        compatibility = scenario.compatibility
        images = scenario.images
        flows = scenario.steps.flatMap(\.flows)
        asksSCTP = scenario.steps.contains { step in
            step.flows.contains { $0.scheme == .sctp }
                || (step.matrix?.probes.contains { $0.transport == .sctp } ?? false)
        }
        nodes = NodeDirectory(scenario: scenario)
        boundary = scenario.boundary
        name = scenario.name
        let resources = scenario.manifests + scenario.steps.flatMap(\.apply)
        let given = resources.flatMap { resource -> [IPAddress] in
            switch resource {
            case let pod as Pod: pod.addresses
            case let service as Service: service.clusterIPs + service.loadBalancerIPs
            default: []
            }
        }
        builder = ClusterBuilder(avoiding: Set(given))
        // What leads to a Service belongs to the cluster, wherever it lies.
        balancers = IPPrefixSet(
            LabNetwork.loadBalancerRanges
                + resources.compactMap { $0 as? Service }.flatMap(\.loadBalancerIPs).map { IPPrefix($0) })
        let hasBalancers = resources.contains { resource in
            (resource as? Service)?.type == .loadBalancer || resource is IstioOperator
        }
        clusterRanges = IPPrefixSet(
            LabNetwork.ranges(nodeAddresses: nodes.allAddresses)
                + (hasBalancers ? LabNetwork.loadBalancerRanges : []) + given.map { IPPrefix($0) })
    }

    /// The lab for these resources; `restarted` names the workloads whose pods start anew.
    package mutating func plan(
        resources: ResourceSet, mesh: MeshConfig, restarted: [WorkloadReference] = []
    ) -> (LabPlan, [Diagnostic]) {
        if mayGrow {
            nodes.grow(by: resources)
            clusterRanges = clusterRanges.union(IPPrefixSet(nodes.allAddresses.map { IPPrefix($0) }))
        }
        let (resources, policyDiagnostics) = EgressTrafficLowering(
            resources: resources, internet: internet
        ).lowered()
        var (cluster, diagnostics) = builder.build(
            resources: resources, nodes: nodes.nodes(of: resources), mesh: mesh, compatibility: compatibility,
            restarted: restarted)
        diagnostics += policyDiagnostics + outsideClusterDiagnostics() + unknownNodes
        diagnostics += Delegation(resources).diagnostics
        diagnostics += GatewayChecks(cluster: cluster, resources: resources).diagnostics
        let dns = DNSPlanner(cluster: cluster, internet: internet).plan()
        let policies = PolicySet(resources)
        diagnostics += policies.diagnostics
        let boundary = BoundaryPlanner(
            cluster: cluster, boundary: boundary, scenario: name,
            givenAddresses: clusterRanges.subtracting(
                IPPrefixSet(LabNetwork.ranges(nodeAddresses: nodes.allAddresses))))
        let table = boundary.table
        let pods = pods(of: cluster, resources, dns, &diagnostics)
        let hasFabric = mayGrow || cluster.nodes.count > 1
        var plan = LabPlan(
            pods: pods,
            nodes: NodePlanner(cluster: cluster, policies: policies).plans(boundary: hasFabric ? nil : table),
            fabric: hasFabric ? FabricPlan(ruleset: Ruleset(tables: [table])) : nil,
            firewall: boundary.firewallPlan, internet: InternetPlanner(hosts: internet).plan(), dns: dns,
            clusterRanges: clusterRanges, translations: Self.translations(of: cluster),
            assumptions: Self.assumptions(policies, mesh) + Self.assumptions(cluster, boundary.firewallPlan))
        plan.internet.answersSCTP = asksSCTP
        (plan.policies, plan.namespaces, plan.clusterNodes) = (policies, cluster.namespaces, cluster.nodes)
        plan.balancers = balancers
        return (plan, diagnostics.uniqued)
    }

    private func pods(
        of cluster: Cluster, _ resources: ResourceSet, _ dns: DNSPlan, _ diagnostics: inout [Diagnostic]
    ) -> [PodPlan] {
        let compiler = ProxyCompiler(cluster: cluster, resources: resources)
        let ports = PodPorts(cluster: cluster, flows: flows, images: images)
        let containers = ContainerPlanner(images: images, resources: resources, names: dns.records)
        // Rules depend on the settings alone, and the pods of a workload share those.
        var rulesets: [CaptureSettings: Ruleset] = [:]
        func ruleset(_ settings: CaptureSettings) -> Ruleset {
            if let known = rulesets[settings] { return known }
            let ruleset = CaptureRuleset.plan(settings)
            rulesets[settings] = ruleset
            return ruleset
        }
        return cluster.pods.map { pod in
            let hasProxy = pod.hasSidecar || pod.isRouter
            let proxy = hasProxy ? compiler.configuration(for: pod, nameservers: dns.nameservers) : nil
            diagnostics += proxy?.1 ?? []
            let programs = containers.plans(for: pod)
            diagnostics += programs.diagnostics
            var plan = PodPlan(
                pod: pod, nodeInterface: pod.nodeInterface, ruleset: pod.capture.map(ruleset) ?? Ruleset(),
                proxy: proxy?.0, tcpPorts: ports.ports(of: pod.id, .tcp), udpPorts: ports.ports(of: pod.id, .udp),
                agent: compiler.names(for: pod).map { DNSAgentPlan(of: pod, names: $0, nameservers: dns.nameservers) },
                containers: programs.plans)
            plan.answersSCTP = !ports.ports(of: pod.id, .sctp).isEmpty
            return plan
        }
    }

    /// An address can't be inside the cluster and outside at once.
    private func outsideClusterDiagnostics() -> [Diagnostic] {
        let ranges = LabNetwork.ranges(nodeAddresses: nodes.allAddresses)
        return internet.flatMap { host in
            // A name outside may well lead to a Service's load balancer.
            host.addresses.filter { clusterRanges.contains($0) && !balancers.contains($0) }.map { address in
                Diagnostic(
                    .error,
                    "internet: \(host.hosts.first ?? "an entry") has the address \(address), which is the cluster's own",
                    remedy: "choose one outside \(ranges.map(\.description).joined(separator: ", "))",
                    at: nil)
            }
        }
    }

    /// Flows from nodes that don't exist, and such nodes that may leave the cluster.
    private var unknownNodes: [Diagnostic] {
        let asked =
            flows.compactMap { flow -> (String, SourceLocation)? in
                if case .node(let name) = flow.from { (name, flow.location) } else { nil }
            }
            + (boundary?.allowFrom ?? []).compactMap { source -> (String, SourceLocation)? in
                if case .node(let name) = source.value { (name, source.location) } else { nil }
            }
        return asked.filter { !nodes.contains($0.0) }.map { name, location in
            Diagnostic(.error, "there is no node \(name)", remedy: nodes.remedy(for: name), at: location)
        }
    }

    private static func translations(of cluster: Cluster) -> [IPEndpoint: Set<IPEndpoint>] {
        var result: [IPEndpoint: Set<IPEndpoint>] = [:]
        for service in cluster.services {
            let addresses = service.clusterIPs + service.loadBalancerIPs + service.service.externalIPs
            for port in service.ports {
                let nodePorts =
                    port.nodePort.map { number in
                        cluster.nodes.flatMap(\.addresses).map { IPEndpoint($0, number) }
                    } ?? []
                for front in addresses.map({ IPEndpoint($0, port.port.number) }) + nodePorts {
                    let endpoints = port.endpoints.filter { $0.address.family == front.address.family }
                    result[front, default: []].formUnion(endpoints)
                }
            }
        }
        return result
    }

    /// What was assumed where Kubernetes leaves a choice (networkpolicy.md, `impl`), and where the lab differs.
    private static func assumptions(_ policies: PolicySet, _ mesh: MeshConfig) -> [String] {
        let logging =
            mesh.accessLogFile == nil
            ? ["access logs are kept although the mesh does not ask for them (accessLogFile is not set)"] : []
        guard !policies.isEmpty else { return logging }
        let own =
            policies.clusterPolicies.isEmpty
            ? []
            : [
                "cluster-wide policies: a pod's packets to its own node, and to itself through a Service, are judged",
                "cluster-wide policies: established flows continue when a policy tightens, or when a name's address ages",
                "cluster-wide policies: of equal priorities the names decide, and a verdict that hangs on it says so",
                "cluster-wide policies: networks never match a Service's address: it is translated first",
            ]
        return logging + own + [
            "NetworkPolicy: denied packets are dropped without an answer",
            "NetworkPolicy: ICMP and other protocols pass only under a rule without ports",
            "NetworkPolicy: established flows continue when a policy tightens; proxies keep no idle connection then",
            "NetworkPolicy: a pod may always reach itself, also through its Service, and its node",
        ]
    }
}

extension LabPlanner {
    /// What was assumed of nodes and of the cluster's edge, where the scenario has more of them than every lab.
    private static func assumptions(_ cluster: Cluster, _ firewall: FirewallPlan?) -> [String] {
        let nodes =
            cluster.nodes.count == 1
            ? []
            : [
                "nodes: a pod goes to the node with the fewest pods among those that take it",
                "nodes: what leaves the cluster has the pod's own address, not its node's",
            ]
        let boundary =
            firewall == nil
            ? [] : ["boundary: established flows continue when their source may no longer leave"]
        return nodes + boundary
    }
}

extension [Diagnostic] {
    /// The diagnostics without repetitions, in order.
    fileprivate var uniqued: [Diagnostic] {
        var seen: Set<Diagnostic> = []
        return filter { seen.insert($0).inserted }
    }
}
