import Manifests
import NetworkAddresses
import ProxyModel

/// Finds the containers that programs stand in for, and what their volumes hold.
struct ContainerPlanner {
    /// Where the documents' nginx asks for names.
    private static let publicResolver = IPEndpoint(IPAddress.publicResolver, LabConstants.dnsPort)
    private static let defaultPort: UInt16 = 8443
    /// The variable that lists calls.
    private static let callsVariable = "REQUESTS"

    let images: [ImageStandIn]
    let resources: ResourceSet
    /// What the names inside the cluster stand for.
    let names: [String: [IPAddress]]

    /// What runs in a pod in its containers' place.
    func plans(for pod: ClusterPod) -> (plans: [ContainerPlan], diagnostics: [Diagnostic]) {
        var diagnostics: [Diagnostic] = []
        var plans: [ContainerPlan] = []
        for container in pod.spec.containers where container.name != Injection.proxyContainer {
            guard let standIn = images.standIn(for: container) else { continue }
            let program: ContainerPlan.Program
            switch standIn.program {
            case .bundled(.requests):
                program = .requests(calls(of: container, in: pod, &diagnostics))
            case .bundled(.sniProxy):
                let mounts = VolumeReader(resources: resources).mounts(of: container, in: pod, &diagnostics)
                program = .sniProxy(
                    configuration(of: sniServer(mounts.flatMap(\.files), in: pod, container, &diagnostics), container))
            case .command(let words):
                let mounts = VolumeReader(resources: resources).mounts(of: container, in: pod, &diagnostics)
                // A program of the machine reads its configuration itself, whatever that is.
                var misunderstood: [Diagnostic] = []
                let server = sniServer(mounts.flatMap(\.files), in: pod, container, &misunderstood)
                program = .machine(plan(words, of: container, mounts, server))
            }
            plans.append(ContainerPlan(name: container.name, program: program))
        }
        return (plans, diagnostics)
    }

    /// What a container's variable lists.
    private func calls(
        of container: Container, in pod: ClusterPod, _ diagnostics: inout [Diagnostic]
    ) -> [RepeatedCall] {
        do {
            return try RepeatedCall.list(container.environment[Self.callsVariable] ?? "")
        } catch {
            diagnostics.append(
                Diagnostic(
                    .error,
                    "container \(container.name) of \(pod.origin.kind) \(pod.id.namespace)/\(pod.workload):"
                        + " \(Self.callsVariable): \(error.message)", remedy: error.remedy, at: container.location))
            return []
        }
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
