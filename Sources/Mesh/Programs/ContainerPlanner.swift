import Manifests
import NetworkAddresses
import ProxyModel

/// Finds the containers that programs stand in for, and what their volumes hold.
struct ContainerPlanner {
    /// Where the documents' nginx asks for names.
    private static let publicResolver = IPEndpoint(IPAddress.publicResolver, LabConstants.dnsPort)
    private static let defaultPort: UInt16 = 8443

    let images: [ImageStandIn]
    let resources: ResourceSet
    /// What the names inside the cluster stand for.
    let names: [String: [IPAddress]]

    /// What runs in a pod in its containers' place.
    func plans(for pod: ClusterPod) -> (plans: [ContainerPlan], diagnostics: [Diagnostic]) {
        if images.isEmpty { return ([], []) }
        var diagnostics: [Diagnostic] = []
        var plans: [ContainerPlan] = []
        for container in pod.spec.containers where container.name != Injection.proxyContainer {
            guard let standIn = images.first(where: { $0.stands(for: container) }) else { continue }
            let mounts = VolumeReader(resources: resources).mounts(of: container, in: pod, &diagnostics)
            // A program of the machine reads its configuration itself, whatever that is.
            var misunderstood: [Diagnostic] = []
            let server = sniServer(mounts.flatMap(\.files), in: pod, container, &misunderstood)
            if !standIn.isCommand { diagnostics += misunderstood }
            let program: ContainerPlan.Program =
                switch standIn.program {
                case .command(let words): .machine(plan(words, of: container, mounts, server))
                case .bundled(.sniProxy): .sniProxy(configuration(of: server, container))
                }
            plans.append(ContainerPlan(name: container.name, program: program))
        }
        return (plans, diagnostics)
    }

    /// The scenario's command stands for the image and its entry point; `args` are the container's own.
    private func plan(
        _ words: [String], of container: Container, _ mounts: [MachineProgramPlan.Mount], _ server: NginxSNIServer?
    ) -> MachineProgramPlan {
        let declared = container.ports.filter { $0.transport == .tcp }.map(\.number)
        return MachineProgramPlan(
            command: words + container.arguments, environment: container.environment,
            workingDirectory: container.workingDirectory, mounts: mounts,
            ports: Set(declared + (server?.listen.map(\.port) ?? [])).sorted(), sniServer: server)
    }

    private func configuration(of server: NginxSNIServer?, _ container: Container) -> SNIProxyConfiguration {
        server?.configuration(defaultResolver: Self.publicResolver)
            ?? SNIProxyConfiguration(
                listen: [IPEndpoint(.loopbackIPv4, container.ports.first?.number ?? Self.defaultPort)],
                nameservers: [Self.publicResolver])
    }

    /// The server of the container's own nginx.conf that forwards by the ClientHello's name.
    private func sniServer(
        _ files: [ContainerFile], in pod: ClusterPod, _ container: Container, _ diagnostics: inout [Diagnostic]
    ) -> NginxSNIServer? {
        guard let file = files.first(where: { $0.path.hasSuffix("nginx.conf") }) else { return nil }
        do {
            return try NginxSNIServer(readingConfiguration: file.text) { names[$0.lowercased()] ?? [] }
        } catch {
            diagnostics.append(
                Diagnostic(
                    .warning,
                    "container \(container.name) of \(pod.origin.kind) \(pod.id.namespace)/\(pod.workload): its"
                        + " \(file.path) is not understood: \(error)", at: container.location))
            return nil
        }
    }
}

extension IPAddress {
    fileprivate static let publicResolver = IPAddress("8.8.8.8") ?? .loopbackIPv4
}
