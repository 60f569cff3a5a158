package import Manifests
package import NetworkAddresses

/// Makes the running cluster out of resources, step after step.
///
/// What a pod got when it started (place, addresses, sidecar, capture settings) stays until it starts anew.
package struct ClusterBuilder: Sendable {
    /// A pod as it was last started.
    private struct Started: Sendable {
        var index: Int
        var generation: Int
        var node = ""
        var incarnation: Int
        var template: PodTemplate
        var capture: CaptureSettings?
        var isRouter = false
        var proxySettings: ProxySettings?
    }

    private var started: [PodID: Started] = [:]
    /// The latest generation of pods that are gone, so that a pod of the same name is told apart.
    private var pastGenerations: [PodID: Int] = [:]
    private var nextPodIndex = 1
    private var services = ServiceAddressBook()
    private var allocator = AddressAllocator()

    /// Addresses that manifests give to pods: the lab gives them to no other.
    private let givenAddresses: Set<IPAddress>

    /// A builder that leaves alone the addresses that any manifest of the scenario gives.
    package init(avoiding givenAddresses: Set<IPAddress> = []) { self.givenAddresses = givenAddresses }

    /// The cluster that runs after `resources` were applied and `restarted` workloads were started anew.
    package mutating func build(
        resources: ResourceSet, nodes: [ClusterNode] = [.only], mesh: MeshConfig,
        compatibility: Scenario.Compatibility = .current, restarted: [WorkloadReference] = []
    ) -> (Cluster, [Diagnostic]) {
        var diagnostics: [Diagnostic] = []
        let resources = InstalledGateways.adding(to: resources)
        let namespaces = Self.namespaces(of: resources, root: mesh.rootNamespace ?? "istio-system")
        let templates = PodTemplates(resources, nodes: nodes)
        let pods = start(
            templates.all, on: nodes, restarted: restarted, injection: Injection(mesh: mesh, namespaces: namespaces),
            proxies: ProxySettingsIndex(resources.resources(ProxyConfig.self), mesh: mesh),
            nameservers: ServiceAddressBook.nameservers(of: resources), &diagnostics)
        var cluster = Cluster(
            nodes: nodes, pods: pods, namespaces: namespaces, mesh: mesh, compatibility: compatibility)
        cluster.services = services.services(of: resources, pods: pods)
        cluster.allocatedAddresses = allocator.addresses(for: resources)
        return (cluster, diagnostics)
    }

    /// Every namespace that any resource names exists, and has the label that Kubernetes gives it.
    private static func namespaces(of resources: ResourceSet, root: String) -> [String: [String: String]] {
        var result: [String: [String: String]] = [:]
        let implied = resources.all.map(\.metadata.namespace).filter { !$0.isEmpty }
        for name in ["default", "kube-system", "istio-system", root] + implied where result[name] == nil {
            result[name] = ["kubernetes.io/metadata.name": name]
        }
        for namespace in resources.resources(Namespace.self) {
            let name = namespace.metadata.name
            result[name] = namespace.metadata.labels.merging(["kubernetes.io/metadata.name": name]) { own, _ in own }
        }
        return result
    }

    // MARK: Pods

    private mutating func start(
        _ templates: [PodTemplates.Entry], on nodes: [ClusterNode], restarted: [WorkloadReference],
        injection: Injection, proxies: ProxySettingsIndex, nameservers: [IPAddress],
        _ diagnostics: inout [Diagnostic]
    ) -> [ClusterPod] {
        let restarts = Set(restarted.map { PodID(namespace: $0.namespace, name: $0.name) })
        var pods: [ClusterPod] = []
        var running: [PodID: Started] = [:]
        var owners: [IPAddress: PodID] = [:]
        var scheduler = Scheduler(nodes)
        for entry in templates {
            if let node = started[entry.id]?.node { scheduler.count(entry.id, entry.spec, on: node) }
        }
        let given = givenAddresses.union(templates.flatMap(\.addresses))
        for entry in templates {
            let workload = PodID(namespace: entry.id.namespace, name: entry.workload)
            let isRestarted = restarts.contains(entry.id) || restarts.contains(workload)
            var record =
                started[entry.id]
                ?? Started(index: 0, generation: 0, incarnation: entry.incarnation, template: entry.template)
            if record.generation == 0 || isRestarted || record.incarnation != entry.incarnation
                || record.template.needsNewPod(entry.template, entry.isBare)
            {
                guard let node = scheduler.place(entry.id, entry.spec, from: record.node) else {
                    diagnostics.append(scheduler.diagnostic(entry.id, entry.spec, at: entry.origin.location))
                    continue
                }
                record.node = node
                if record.index == 0 {
                    while !given.isDisjoint(with: LabNetwork.podAddresses(nextPodIndex)) { nextPodIndex += 1 }
                    record.index = nextPodIndex
                    nextPodIndex += 1
                }
                record.generation = max(record.generation, pastGenerations[entry.id] ?? 0) + 1
                let settings = proxies.settings(
                    namespace: entry.id.namespace, labels: entry.template.labels, annotations: entry.annotations,
                    spec: entry.spec, owner: entry.origin)
                (record.capture, record.isRouter) = proxy(
                    of: entry, at: record.index, injection, settings, nameservers, &diagnostics)
                record.proxySettings = settings
            }
            record.template = entry.template
            record.incarnation = entry.incarnation
            running[entry.id] = record
            let addresses = Self.addresses(of: entry, at: record.index, on: nodes.first { $0.name == record.node })
            for address in addresses where !entry.spec.hostNetwork {
                if let other = owners.updateValue(entry.id, forKey: address) {
                    diagnostics.append(
                        Diagnostic(
                            .error, "pods \(other) and \(entry.id) both have the address \(address)",
                            at: entry.origin.location))
                }
            }
            pods.append(
                ClusterPod(
                    id: entry.id, workload: entry.workload, workloadKind: entry.workloadKind, index: record.index,
                    generation: record.generation, addresses: addresses, labels: entry.template.labels,
                    annotations: entry.annotations, spec: entry.spec, node: record.node,
                    capture: record.capture, isRouter: record.isRouter,
                    proxySettings: record.proxySettings, isReady: entry.isReady, origin: entry.origin))
        }
        for reference in restarted where !pods.contains(where: { $0.isReferred(by: reference) }) {
            diagnostics.append(
                Diagnostic(.error, "restart: there is no workload \(reference.namespace)/\(reference.name)", at: nil))
        }
        for (id, record) in started where running[id] == nil { pastGenerations[id] = record.generation }
        started = running
        return pods
    }

    private static func addresses(
        of entry: PodTemplates.Entry, at index: Int, on node: ClusterNode?
    ) -> [IPAddress] {
        // Without a network of its own it has the node's.
        if entry.spec.hostNetwork { return node?.addresses ?? [] }
        let given = entry.addresses.isEmpty ? LabNetwork.podAddresses(index) : entry.addresses
        guard entry.spec.sysctls["net.ipv6.conf.all.disable_ipv6"] == "1" else { return given }
        return given.filter { $0.family == .ipv4 }
    }

    private func proxy(
        of entry: PodTemplates.Entry, at index: Int, _ injection: Injection, _ settings: ProxySettings,
        _ nameservers: [IPAddress], _ diagnostics: inout [Diagnostic]
    ) -> (capture: CaptureSettings?, isRouter: Bool) {
        let decision = injection.decide(
            namespace: entry.id.namespace, labels: entry.template.labels, annotations: entry.annotations,
            spec: entry.spec)
        switch decision {
        case .none: return (nil, false)
        case .router: return (nil, true)
        case .ineffectiveAnnotation:
            let message =
                "\(entry.origin.kind) \(entry.id.namespace)/\(entry.workload): the annotation"
                + " sidecar.istio.io/inject has no effect, because the namespace is not enabled for injection"
            let diagnostic = Diagnostic(
                .warning, message, remedy: "label the namespace istio-injection=enabled, or make it a label of the pod",
                at: entry.annotations["sidecar.istio.io/inject"]?.location)
            if !diagnostics.contains(diagnostic) { diagnostics.append(diagnostic) }
            return (nil, false)
        case .sidecar:
            let (capture, found) = CaptureSettings.reading(
                annotations: entry.annotations, owner: entry.origin,
                addresses: Self.addresses(of: entry, at: index, on: nil),
                nameservers: nameservers, spec: entry.spec, mesh: injection.mesh, proxy: settings)
            diagnostics += found.filter { !diagnostics.contains($0) }
            return (capture, false)
        }
    }
}

extension ClusterPod {
    /// True where the reference names the pod or its workload.
    package func isReferred(by reference: WorkloadReference) -> Bool {
        id.namespace == reference.namespace && (id.name == reference.name || workload == reference.name)
    }
}
