import DNS
package import Evidence
package import Manifests
package import Mesh
import NIOConcurrencyHelpers
package import NIOCore
import Netlink
import NetworkAddresses
package import Nftables
import Proxy
import ProxyModel

/// A lab that runs: the plan, realised in namespaces, rules and servers.
///
/// Everything hangs on descriptors of this process. When it ends, however it ends, nothing is left.
package actor RunningLab {
    package nonisolated let recorder: EvidenceRecorder
    package nonisolated let authority: LabCertificateAuthority
    private nonisolated let secrets: LabSecrets
    nonisolated let client: FlowClient
    package nonisolated let group: any EventLoopGroup
    nonisolated let dataPlanes: DataPlanes
    private nonisolated let nodesSoFar: NIOLockedValueBox<[RunningNode]>
    /// nil: there is one node, and no other will come.
    nonisolated let fabric: NetworkNamespace?
    nonisolated let internet: NetworkNamespace

    private var wiring: Wiring
    private nonisolated let zone: ZoneResponder
    private var internetServer: InternetServer?
    private var packetLogs: [PacketLogReader] = []
    private var pods: [PodID: RunningPod] = [:]
    private var podsByAddress: [IPAddress: RunningPod] = [:]
    private var rulesets = RulesetInstaller()
    private var plan: LabPlan?
    /// What the firewall's log means, where the boundary is.
    private nonisolated let boundaryReasons: DropReasons
    /// With proxies that tell late: what the kernel knows of them.
    nonisolated let untold: UntoldConnections?
    package nonisolated let failures = LabFailures()
    /// What proxies reported to Istio 1.0's telemetry service; nil where there is none.
    nonisolated let telemetry: TelemetryLog?
    /// Whose addresses metrics name.
    private nonisolated let registry = MeshRegistry()
    nonisolated let names: LearntNames
    /// Sees logged packets before they become evidence, while a matrix is asked.
    nonisolated let packetWitness: NIOLockedValueBox<(any PacketWitness)?>

    /// An empty lab for a plan, which `update` puts in force.
    ///
    /// `envoy` is the program for data plane `envoy`. With an `observer` nothing is kept of what observers see: it is
    /// told of everything, for labs that stay up.
    package init(
        of plan: LabPlan, group: any EventLoopGroup, dataPlane: Scenario.DataPlaneKind, envoy: String?,
        hasPrograms: Bool = false, hasTelemetry: Bool = false,
        observer: (@Sendable (Observation) -> Void)? = nil
    ) throws {
        let dataPlanes: DataPlanes
        switch dataPlane {
        case .bundled: dataPlanes = .bundled
        case .envoy:
            guard let envoy else { throw LabError("no program was named for data plane envoy") }
            dataPlanes = .envoy(envoy, in: try .inMemory())
        }
        try self.init(
            plan: plan, group: group, dataPlanes: dataPlanes, hasPrograms: hasPrograms, hasTelemetry: hasTelemetry,
            observer: observer)
    }

    /// Makes the plan's nodes, the internet and what joins them, and starts the observers.
    ///
    /// - Parameters:
    ///   - hasPrograms: programs of this machine will stand in for containers.
    ///   - hasTelemetry: proxies report to Istio 1.0's telemetry service.
    package init(
        plan: LabPlan, group: any EventLoopGroup, dataPlanes: DataPlanes = .bundled, hasPrograms: Bool = false,
        hasTelemetry: Bool = false, observer: (@Sendable (Observation) -> Void)? = nil
    ) throws {
        telemetry = hasTelemetry ? TelemetryLog() : nil
        self.group = group
        self.dataPlanes = dataPlanes
        recorder = EvidenceRecorder(
            clusterRanges: plan.clusterRanges, nodeAddresses: plan.nodes.flatMap(\.addresses),
            usesComeFirst: dataPlanes.tellsAttempts && !hasPrograms, observer: observer)
        authority = try LabCertificateAuthority()
        secrets = LabSecrets(mesh: try MeshCertificateAuthority(), authority: authority)
        client = try FlowClient(trusting: authority.root)
        let nodes = try RunningNode.make(plan.nodes)
        nodesSoFar = NIOLockedValueBox(nodes)
        fabric = plan.fabric == nil ? nil : try NetworkNamespace.create()
        internet = try NetworkNamespace.create()
        wiring = try Wiring(
            nodes: nodes, fabric: fabric, internet: internet, clusterRanges: plan.clusterRanges,
            balancers: plan.balancers)
        zone = ZoneResponder(records: [:])
        names = LearntNames(nowMs: { [recorder] in recorder.nowMs }, failed: failures.report)
        let witness = NIOLockedValueBox<(any PacketWitness)?>(nil)
        packetWitness = witness
        let boundary = fabric == nil ? nodes[0].dropReasons : DropReasons(at: "fabric")
        boundaryReasons = boundary
        untold =
            dataPlanes.tellsAttempts && !hasPrograms
            ? nil : UntoldConnections(recorder: recorder, proxiesTell: dataPlanes.tellsAttempts)
        let places = nodes.map { ($0.namespace, $0.dropReasons) } + (fabric.map { [($0, boundary)] } ?? [])
        let observers = try places.map { [recorder, untold] namespace, reasons in
            try Self.observer(
                namespace, reasons, isAtBoundary: reasons === boundary, recorder: recorder, untold: untold,
                witness: witness)
        }
        packetLogs = observers + [try Self.observer(ofArrivalIn: internet, recorder: recorder, witness: witness)]
        packetLogs.forEach { $0.start() }
    }

    /// Sees what a node or the fabric drops and, at the boundary, what leaves the cluster.
    private static func observer(
        _ namespace: NetworkNamespace, _ reasons: DropReasons, isAtBoundary: Bool, recorder: EvidenceRecorder,
        untold: UntoldConnections?, witness: NIOLockedValueBox<(any PacketWitness)?>
    ) throws -> PacketLogReader {
        let groups = [LabConstants.dropLogGroup] + (isAtBoundary ? [LabConstants.boundaryLogGroup] : [])
        return PacketLogReader(
            try namespace.enter { try PacketLog(groups: groups) },
            deliver: { packet in
                if witness.withLockedValue({ $0 })?.take(packet) == true { return }
                guard let tuple = packet.tuple else { return }
                untold?.notice(packet, wasDropped: packet.group == LabConstants.dropLogGroup)
                if packet.group == LabConstants.boundaryLogGroup {
                    recorder.record(.packet(PacketSeen(place: .boundary, tuple: tuple, timeMs: recorder.nowMs)))
                } else {
                    recorder.record(.drop(reasons.drop(packet.prefix, tuple, timeMs: recorder.nowMs)))
                }
            }, onLoss: { recorder.recordLoss($0) })
    }

    private static func observer(
        ofArrivalIn internet: NetworkNamespace, recorder: EvidenceRecorder,
        witness: NIOLockedValueBox<(any PacketWitness)?>
    ) throws -> PacketLogReader {
        PacketLogReader(
            try internet.enter { try PacketLog(groups: [LabConstants.arrivalLogGroup]) },
            deliver: { packet in
                if witness.withLockedValue({ $0 })?.take(packet) == true { return }
                guard let tuple = packet.tuple else { return }
                recorder.record(.packet(PacketSeen(place: .internet, tuple: tuple, timeMs: recorder.nowMs)))
            }, onLoss: { recorder.recordLoss($0) })
    }

    /// Records all that the kernel has logged up to now.
    package func drainPacketLogs() { packetLogs.forEach { $0.drain() } }

    /// The same from a thread of one's own.
    var packetLogDrain: @Sendable () -> Void {
        let logs = packetLogs
        return { logs.forEach { $0.drain() } }
    }

    package nonisolated var nodes: [RunningNode] { nodesSoFar.withLockedValue { $0 } }

    /// Joins the plan's further nodes to those that there are.
    private func grow(to plan: LabPlan) throws {
        let known = nodes
        for planned in plan.nodes.dropFirst(known.count) {
            let node = try RunningNode(planned, place: "node/\(planned.name)")
            let log = try Self.observer(
                node.namespace, node.dropReasons, isAtBoundary: false, recorder: recorder, untold: untold,
                witness: packetWitness)
            log.start()
            packetLogs.append(log)
            try wiring.add(node)
            nodesSoFar.withLockedValue { $0.append(node) }
        }
        guard plan.nodes.count > known.count else { return }
        try wiring.extend(to: plan.clusterRanges)
        recorder.setCluster(ranges: plan.clusterRanges, nodes: plan.nodes.flatMap(\.addresses))
    }

    /// The namespaces that track connections between pods.
    nonisolated var nodeNamespaces: [NetworkNamespace] { nodes.map(\.namespace) + (fabric.map { [$0] } ?? []) }

    package func pod(_ id: PodID) -> RunningPod? { pods[id] }
    package var allPods: [RunningPod] { pods.values.sorted { $0.index < $1.index } }

    /// The first pod of a workload, or the pod of that name.
    package func pod(of reference: WorkloadReference) -> RunningPod? {
        if let pod = pods[PodID(namespace: reference.namespace, name: reference.name)] { return pod }
        return pods.values
            .filter { $0.id.namespace == reference.namespace && $0.plan.pod.workload == reference.name }
            .min { $0.index < $1.index }
    }

    /// The pods that packets for `destination` may reach.
    func pods(at destination: IPEndpoint) -> [RunningPod] {
        recorder.targets(of: destination).compactMap { podsByAddress[$0.address] }
    }

    /// Returns when everything that has reached a proxy up to now is recorded; throws if one has ended.
    package func settle() async throws {
        // Those that tell of everything at once have nothing to tell later.
        if dataPlanes.tellsAttempts, allPods.allSatisfy(\.programs.isEmpty) { return }
        // Programs first: what they call reaches proxies of other pods.
        try await onAllPods { pod in
            for program in pod.programs.values { try await program.settle() }
        }
        try await onAllPods { try await $0.settle() }
        drainPacketLogs()
    }

    /// Returns when the servers have told of every connection that stood when this was called.
    package nonisolated func settleServers() async {
        for loop in group.makeIterator() {
            // A task for later runs once the loop has looked at its sockets again.
            _ = try? await loop.scheduleTask(in: .milliseconds(1)) {}.futureResult.get()
        }
    }

    /// Does something with all pods side by side.
    private func onAllPods(_ body: @escaping @Sendable (RunningPod) async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for pod in allPods { group.addTask { try await body(pod) } }
            try await group.waitForAll()
        }
    }

    /// Puts `plan` in force: when it returns, every proxy and the node follow it.
    ///
    /// New pods get their link first, then the node's rules change, then they get their own rules and proxies: a policy
    /// is in force before a pod's first packet. Pods in `holdingBack` stay without rules until `finishStart`.
    package func update(to plan: LabPlan, holdingBack: Set<PodID> = []) async throws {
        try grow(to: plan)
        let wanted = Dictionary(uniqueKeysWithValues: plan.pods.map { ($0.pod.id, $0) })
        for pod in allPods where wanted[pod.id]?.pod.generation != pod.generation {
            pods[pod.id] = nil
            try wiring.disconnect(pod.plan)
            if !pod.plan.pod.spec.hostNetwork { rulesets.forget(pod.namespace) }
            await pod.stop()
        }
        let fresh = plan.pods.filter { pods[$0.pod.id] == nil }
        for created in try wiring.connect(fresh) { pods[created.id] = created }
        podsByAddress = Dictionary(pods.values.flatMap { pod in pod.plan.pod.addresses.map { ($0, pod) } }) { $1 }
        untold?.watch(allPods)
        telemetry?.watch(plan.pods.map(\.pod))
        registry.watch(plan.pods.map(\.pod))

        var hasNewPolicies =
            self.plan.map { zip($0.nodes, plan.nodes).contains { $0.policyTable != $1.policyTable } } ?? false
        try installRules(of: plan)
        recorder.setTranslations(plan.translations)
        updateNames(plan.dns)
        try updateInternet(plan.internet, plan.dns)
        self.plan = plan

        var starting: [RunningPod] = []
        var changing: [(pod: RunningPod, configuration: ProxyConfiguration)] = []
        for podPlan in plan.pods {
            guard let pod = pods[podPlan.pod.id] else { continue }
            if pod.hasStarted {
                let changed = pod.plan.proxy != podPlan.proxy
                if let old = pod.plan.proxy, let new = podPlan.proxy, !old.authorizes(as: new) { hasNewPolicies = true }
                pod.plan = podPlan
                if changed, let configuration = podPlan.proxy {
                    changing.append((pod, try secrets.complete(configuration)))
                }
                try serve(pod, dnsPod: plan.dns.pod)
            } else if !holdingBack.contains(pod.id) {
                starting.append(pod)
            }
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (pod, configuration) in changing {
                group.addTask { try await pod.livingProxy?.update(configuration) }
            }
            try await group.waitForAll()
        }
        try await start(starting)
        // A change is in force at once: no request goes by a connection that was made under other policies.
        if hasNewPolicies { try await onAllPods { try await $0.livingProxy?.meetNewPolicies() } }
    }

    /// Puts the rules of the nodes and of the boundary in force.
    private func installRules(of plan: LabPlan) throws {
        boundaryReasons.set(plan.firewall)
        for (position, (node, new)) in zip(nodes, plan.nodes).enumerated() {
            node.dropReasons.add(new.dropReasons, pods: plan.pods)
            // A node that has just come has no rules yet.
            let old = self.plan.flatMap { $0.nodes.indices.contains(position) ? $0.nodes[position].ruleset : nil }
            let ruleset = names.filled(new.ruleset, new.nameSets, at: node.name)
            if old != new.ruleset { try rulesets.install(ruleset, in: node.namespace, replacing: old) }
            if !new.nameSets.isEmpty { names.use(try rulesets.connection(to: node.namespace), at: node.name) }
        }
        let old = self.plan?.fabric?.ruleset
        if let fabric, let new = plan.fabric?.ruleset, new != old {
            try rulesets.install(new, in: fabric, replacing: old)
        }
    }

    /// Ends the time of a held-back pod's init containers: its rules come into force, its proxy and containers start.
    package func finishStart(_ id: PodID) async throws {
        if let pod = pods[id], !pod.hasStarted { try await start([pod]) }
    }

    /// Rules first, one namespace after the other as the kernel does it anyway; then proxies and servers side by side.
    private func start(_ pods: [RunningPod]) async throws {
        for pod in pods where !pod.plan.ruleset.tables.isEmpty {
            try rulesets.install(pod.plan.ruleset, in: pod.namespace, replacing: nil)
        }
        let dnsPod = plan?.dns.pod
        // Proxies ask for their clusters' names as they start, and after a refusal not again for a minute.
        for pod in pods where pod.id == dnsPod { try await startProxy(of: pod, dnsPod: dnsPod) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for pod in pods where pod.id != dnsPod {
                group.addTask { try await self.startProxy(of: pod, dnsPod: dnsPod) }
            }
            try await group.waitForAll()
        }
        // Programs may ask for names as soon as they start.
        guard let dns = plan?.dns else { return }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for pod in pods where !pod.plan.containers.isEmpty {
                group.addTask { try await self.startPrograms(of: pod, dns: dns) }
            }
            try await group.waitForAll()
        }
    }

    private nonisolated func startPrograms(of pod: RunningPod, dns: DNSPlan) async throws {
        for container in pod.plan.containers {
            let program = ContainerPrograms.program(
                container,
                at: ContainerSite(
                    pod: pod, group: group, recorder: recorder,
                    files: PodFiles(of: pod.plan, dns: dns, trusting: authority.rootPEM), dns: dns, client: client,
                    untold: untold, failed: failures.report))
            pod.add(program: program, inPlaceOf: container.name)
            try await program.start()
        }
    }

    private nonisolated func startProxy(of pod: RunningPod, dnsPod: PodID?) async throws {
        let plan = pod.plan
        if let agent = plan.agent {
            pod.set(
                agent: try DNSAgent(agent, of: pod, on: group.next(), recorder: recorder, untold: untold))
        }
        if let configuration = plan.proxy {
            let metrics = IstioMetrics(of: configuration.node, pod: plan.pod, in: registry)
            metrics.watch(configuration)
            pod.set(metrics: metrics)
            let proxyAgent = ProxyAgent(of: pod, on: group.next(), recorder: recorder)
            pod.set(proxyAgent: proxyAgent)
            try await proxyAgent.start()
            let proxy = try dataPlanes.proxy(
                at: ProxySite(
                    pod: pod, configuration: try secrets.complete(configuration), group: group, recorder: recorder,
                    telemetry: telemetry, metrics: metrics, untold: untold, failed: failures.report))
            try await proxy.start()
            pod.set(proxy: proxy)
        }
        try serve(pod, dnsPod: dnsPod)
        pod.markStarted()
    }

    /// Starts the pod's servers, or adds ports to them.
    private nonisolated func serve(_ pod: RunningPod, dnsPod: PodID?) throws {
        let plan = pod.plan
        if plan.pod.id == dnsPod, !pod.hasStarted {
            let site = "pod \(pod.id)"
            let server = try DNSServer(
                addresses: plan.pod.addresses, in: pod.context(uid: 0, gid: 0), on: group.next(), responder: zone
            ) { [recorder, untold, names] query in
                if let question = query.question { untold?.notice(question: question.name, query.tuple) }
                names.learn(query)
                recorder.recordQuery(query, at: site)
            }
            pod.set(dnsServer: server)
        }
        guard !plan.tcpPorts.isEmpty || !plan.udpPorts.isEmpty || plan.answersSCTP else { return }
        if pod.server == nil {
            let owner = pod.credentials(container: nil)
            pod.set(
                server: PodServer(
                    pod: "\(pod.id)", hasIPv6: plan.pod.addresses.contains { $0.family == .ipv6 },
                    authority: authority, in: pod.context(uid: owner.uid, gid: owner.gid), on: group.next(),
                    app: plan.pod.app, sink: { [recorder] in recorder.record($0) }))
        }
        try pod.server?.open(tcp: plan.tcpPorts, udp: plan.udpPorts, sctp: plan.answersSCTP)
    }

    /// Has pods answer to what a matrix asks, beside what they answer to already.
    func open(_ probes: [MatrixProbe], in pods: [RunningPod]) throws {
        func ports(_ transport: IPProtocol, _ known: [UInt16]) -> [UInt16] {
            Set(known + probes.filter { $0.transport == transport }.map(\.port)).sorted()
        }
        for pod in pods where !pod.plan.pod.isRouter && pod.programs.isEmpty {
            var plan = pod.plan
            plan.tcpPorts = ports(.tcp, plan.tcpPorts)
            plan.udpPorts = ports(.udp, plan.udpPorts)
            plan.answersSCTP = plan.answersSCTP || probes.contains { $0.transport == .sctp }
            // The DNS server itself listens there.
            if plan.pod.id == self.plan?.dns.pod {
                plan.tcpPorts.removeAll { $0 == LabConstants.dnsPort }
                plan.udpPorts.removeAll { $0 == LabConstants.dnsPort }
            }
            pod.plan = plan
            try serve(pod, dnsPod: nil)
        }
    }

    private func updateNames(_ dns: DNSPlan) {
        zone.update(
            DNSZone(
                records: dns.records.merging(dns.internetRecords) { inside, _ in inside }, aliases: dns.aliases,
                clusterDomain: dns.clusterDomain))
    }

    private func updateInternet(_ plan: InternetPlan, _ dns: DNSPlan) throws {
        guard internetServer == nil else { return }
        try rulesets.install(plan.ruleset, in: internet, replacing: nil)
        internetServer = try InternetServer(
            hosts: plan.hosts, records: dns.internetRecords, authority: authority, in: NamespaceContext(internet),
            on: group.next(), tcpPort: LabConstants.internetTCPPort, udpPort: LabConstants.internetUDPPort,
            onQuery: { [names] in names.learn($0) }, sink: { [recorder] in recorder.record($0) })
        if plan.answersSCTP {
            try internetServer?.answerSCTP(in: NamespaceContext(internet), on: group.next()) { [recorder] in
                recorder.record($0)
            }
        }
    }

    /// The rules that are in force, by file name: what the kernel was given.
    package var installedRulesets: [String: Ruleset] {
        var result: [String: Ruleset] = [:]
        for (node, plan) in zip(nodes, plan?.nodes ?? []) { result[node.place] = plan.ruleset }
        result["fabric"] = plan?.fabric?.ruleset
        for pod in allPods { result["\(pod.id)"] = pod.plan.ruleset }
        return result
    }

    package func stop() async {
        try? await onAllPods { await $0.stop(labIsOver: true) }
        internetServer?.close()
        packetLogs.forEach { $0.stop() }
    }
}
