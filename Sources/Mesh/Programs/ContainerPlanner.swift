import Manifests
import NetworkAddresses
import ProxyModel

/// A file that a container's volumes give it.
struct ContainerFile {
    var path: String
    var text: String
}

/// Finds the containers that programs stand in for, and what their volumes hold.
struct ContainerPlanner {
    /// Where the documents' nginx asks for names.
    private static let publicResolver = IPEndpoint(IPAddress.publicResolver, LabConstants.dnsPort)
    private static let defaultPort: UInt16 = 8443

    let images: [ImageStandIn]
    let resources: ResourceSet

    /// What runs in a pod in its containers' place.
    func plans(for pod: ClusterPod) -> (plans: [ContainerPlan], diagnostics: [Diagnostic]) {
        if images.isEmpty { return ([], []) }
        var diagnostics: [Diagnostic] = []
        var plans: [ContainerPlan] = []
        for container in pod.spec.containers where container.name != Injection.proxyContainer {
            guard let standIn = images.first(where: { $0.stands(for: container) }) else { continue }
            let files = files(of: container, in: pod, &diagnostics)
            let server = sniServer(files, in: pod, container, &diagnostics)
            switch standIn.program {
            case .command(let words):
                let unsupported = Diagnostic(
                    .unsupported, "images: running \(words[0]) in the place of a container is not supported yet",
                    remedy: "let bundled: sni-proxy stand in for it", at: standIn.location)
                if !diagnostics.contains(unsupported) { diagnostics.append(unsupported) }
            case .bundled(.sniProxy):
                let configuration =
                    server?.configuration(defaultResolver: Self.publicResolver)
                    ?? SNIProxyConfiguration(
                        listen: [
                            IPEndpoint(.loopbackIPv4, container.ports.first?.number ?? Self.defaultPort)
                        ], nameservers: [Self.publicResolver])
                plans.append(
                    ContainerPlan(
                        name: container.name, program: .sniProxy(configuration)))
            }
        }
        return (plans, diagnostics)
    }

    /// The server of the container's own nginx.conf that forwards by the ClientHello's name.
    private func sniServer(
        _ files: [ContainerFile], in pod: ClusterPod, _ container: Container, _ diagnostics: inout [Diagnostic]
    ) -> NginxSNIServer? {
        guard let file = files.first(where: { $0.path.hasSuffix("nginx.conf") }) else { return nil }
        do {
            return try NginxSNIServer(readingConfiguration: file.text)
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

    private func files(
        of container: Container, in pod: ClusterPod, _ diagnostics: inout [Diagnostic]
    ) -> [ContainerFile] {
        container.volumeMounts.flatMap { mount -> [ContainerFile] in
            guard let volume = pod.spec.volumes.first(where: { $0.name == mount.name }) else {
                diagnostics.append(
                    Diagnostic(
                        .error, "container \(container.name) mounts volume '\(mount.name)', which its pod has not",
                        remedy: "add it to the pod's volumes, or take it from volumeMounts", at: mount.location))
                return []
            }
            let contents = contents(of: volume, in: pod.id.namespace, &diagnostics)
            let root = mount.mountPath.hasSuffix("/") ? String(mount.mountPath.dropLast()) : mount.mountPath
            if let part = mount.subPath {
                return contents.filter { $0.key == part }.map { ContainerFile(path: root, text: $0.value) }
            }
            return contents.sorted { $0.key < $1.key }
                .map { ContainerFile(path: "\(root)/\($0.key)", text: $0.value) }
        }
    }

    /// A volume's files by their paths within it.
    private func contents(
        of volume: Volume, in namespace: String, _ diagnostics: inout [Diagnostic]
    ) -> [String: String] {
        guard case .configMap(let name, let items, let isOptional) = volume.source else { return [:] }
        guard let map = resources.resource(ConfigMap.self, namespace, name) else {
            if !isOptional {
                diagnostics.append(
                    Diagnostic(
                        .error, "volume '\(volume.name)' is of ConfigMap \(namespace)/\(name), which does not exist",
                        remedy: "apply the ConfigMap together with the pod, or before it", at: volume.location))
            }
            return [:]
        }
        let data = map.data.mapValues(\.value)
        if items.isEmpty { return data }
        return Dictionary(items.compactMap { key, path in data[key].map { (path, $0) } }) { first, _ in first }
    }
}

extension IPAddress {
    fileprivate static let publicResolver = IPAddress("8.8.8.8") ?? .loopbackIPv4
}
