/// Which workloads exist at a point of a scenario, for checking references to them.
struct KnownWorkloads {
    /// Names of containers and init containers.
    private var workloads: [ResourceID: [String]] = [:]
    private var services: Set<ResourceID> = []
    /// The gateways that each operator installs, with their containers.
    private var installed: [ResourceID: [ResourceID: [String]]] = [:]

    /// What every lab has without being asked.
    private static let builtIn: Set<String> = ["kube-system/kube-dns", "kube-system/coredns"]
    /// What injection adds to a pod.
    private static let injected: Set<String> = ["istio-proxy", "istio-init", "istio-validation"]

    mutating func apply(_ resource: any Resource) {
        switch resource {
        case let pod as Pod:
            let containers = (pod.spec.containers + pod.spec.initContainers).map(\.name)
            workloads[pod.id] = containers
            // A dump may have the pods without the object that made them.
            if let maker = pod.maker {
                let id = ResourceID(kind: maker.kind, namespace: pod.metadata.namespace, name: maker.name)
                if workloads[id] == nil { workloads[id] = containers }
            }
        case let workload as Workload:
            let spec = workload.template.spec
            workloads[workload.id] = (spec.containers + spec.initContainers).map(\.name)
        case let service as Service:
            services.insert(service.id)
        case let installation as IstioOperator:
            install(installation)
        default:
            break
        }
    }

    /// A gateway's Deployment and Service have one name.
    private mutating func install(_ installation: IstioOperator) {
        var gateways: [ResourceID: [String]] = [:]
        for (component, namespace) in installation.installedGateways {
            let id = ResourceID(kind: Workload.Kind.deployment.rawValue, namespace: namespace, name: component.name)
            gateways[id] = component.additionalContainers.map(\.name)
        }
        installed[installation.id] = gateways
    }

    private var allWorkloads: [ResourceID: [String]] {
        installed.values.reduce(into: workloads) { all, gateways in all.merge(gateways) { own, _ in own } }
    }

    /// A namespace takes what it holds with it.
    mutating func delete(_ id: ResourceID) {
        workloads[id] = nil
        services.remove(id)
        installed[id] = nil
        guard id.kind == Namespace.kind else { return }
        workloads = workloads.filter { $0.key.namespace != id.name }
        services = services.filter { $0.namespace != id.name }
        installed = installed.filter { $0.key.namespace != id.name }
    }

    /// True where some workload lives in the namespace.
    func hasWorkloads(in namespace: String) -> Bool {
        allWorkloads.keys.contains { $0.namespace == namespace } || namespace == "kube-system"
    }

    func hasService(named name: String) -> Bool {
        services.contains { $0.name == name } || installed.values.contains { $0.keys.contains { $0.name == name } }
    }

    /// The containers of a workload, or of the workload whose generated pod this is.
    private func containers(of reference: WorkloadReference) -> [String]? {
        let workloads = allWorkloads
        if let exact = workloads.first(where: {
            $0.key.namespace == reference.namespace && $0.key.name == reference.name
        }) {
            return exact.value
        }
        return workloads.first { id, _ in
            id.kind != Pod.kind && id.namespace == reference.namespace && reference.name.hasPrefix(id.name + "-")
        }?.value
    }

    func contains(_ reference: WorkloadReference) -> Bool {
        containers(of: reference) != nil || Self.builtIn.contains("\(reference.namespace)/\(reference.name)")
    }

    /// What to write instead of a reference to nothing.
    func nearest(to reference: WorkloadReference) -> String? {
        let names = Set(allWorkloads.keys.map { "\($0.namespace)/\($0.name)" }).sorted()
        let wanted = "\(reference.namespace)/\(reference.name)"
        let sameName = names.first { $0.hasSuffix("/\(reference.name)") }
        if let near = NearestName.to(wanted, among: names) ?? sameName { return "did you mean \(near)?" }
        return names.isEmpty ? nil : "there are \(names.prefix(10).joined(separator: ", "))"
    }

    /// Says where there is no such workload or container.
    func check(_ reference: WorkloadReference, _ field: FieldReader) -> Bool {
        guard contains(reference) else {
            field.error(
                "no workload \(reference.namespace)/\(reference.name) at this step", remedy: nearest(to: reference))
            return false
        }
        guard let container = reference.container, let known = containers(of: reference) else { return true }
        guard known.contains(container) || Self.injected.contains(container) else {
            field.error(
                "\(reference.namespace)/\(reference.name) has no container \(container)",
                remedy: NearestName.remedy(for: container, among: known)
                    ?? "it has \(known.joined(separator: ", "))")
            return false
        }
        return true
    }
}
