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
            let mounts = mounts(of: container, in: pod, &diagnostics)
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

    // MARK: Files

    private func mounts(
        of container: Container, in pod: ClusterPod, _ diagnostics: inout [Diagnostic]
    ) -> [MachineProgramPlan.Mount] {
        container.volumeMounts.compactMap { mount in
            guard let volume = pod.spec.volumes.first(where: { $0.name == mount.name }) else {
                diagnostics.append(
                    Diagnostic(
                        .error, "container \(container.name) mounts volume '\(mount.name)', which its pod has not",
                        remedy: "add it to the pod's volumes, or take it from volumeMounts", at: mount.location))
                return nil
            }
            let contents = contents(of: volume, in: pod.id.namespace, &diagnostics)
            let root = mount.mountPath.hasSuffix("/") ? String(mount.mountPath.dropLast()) : mount.mountPath
            guard let part = mount.subPath else {
                let files = contents.sorted { $0.key < $1.key }.map {
                    ContainerFile(path: "\(root)/\($0.key)", content: $0.value)
                }
                return MachineProgramPlan.Mount(path: root, files: files)
            }
            if let content = contents[part] {
                return MachineProgramPlan.Mount(
                    path: root, files: [ContainerFile(path: root, content: content)], isDirectory: false)
            }
            // As Kubernetes does: what is not in the volume is made in it, as a directory.
            let files = contents.filter { $0.key.hasPrefix("\(part)/") }.sorted { $0.key < $1.key }.map {
                ContainerFile(path: root + $0.key.dropFirst(part.count), content: $0.value)
            }
            return MachineProgramPlan.Mount(path: root, files: files)
        }
    }

    /// A volume's files by their paths within it.
    private func contents(
        of volume: Volume, in namespace: String, _ diagnostics: inout [Diagnostic]
    ) -> [String: [UInt8]] {
        let (data, items, missing): ([String: [UInt8]]?, [String: String], String?)
        switch volume.source {
        case .configMap(let name, let chosen, let isOptional):
            data = resources.resource(ConfigMap.self, namespace, name)?.data.mapValues { Array($0.value.utf8) }
            (items, missing) = (chosen, isOptional ? nil : "ConfigMap \(namespace)/\(name)")
        case .secret(let name, let chosen, let isOptional):
            data = resources.resource(Secret.self, namespace, name)?.data
            (items, missing) = (chosen, isOptional ? nil : "Secret \(namespace)/\(name)")
        case .emptyDirectory, .other: return [:]
        }
        guard let data else {
            if let missing {
                let kind = missing.prefix { $0 != " " }
                diagnostics.append(
                    Diagnostic(
                        .error, "volume '\(volume.name)' is of \(missing), which does not exist",
                        remedy: "apply the \(kind) together with the pod, or before it", at: volume.location))
            }
            return [:]
        }
        if items.isEmpty { return data }
        return Dictionary(items.compactMap { key, path in data[key].map { (path, $0) } }) { first, _ in first }
    }
}

extension IPAddress {
    fileprivate static let publicResolver = IPAddress("8.8.8.8") ?? .loopbackIPv4
}
