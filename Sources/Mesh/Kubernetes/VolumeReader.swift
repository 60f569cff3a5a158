import Manifests

/// Finds what containers see of their pods' volumes: ConfigMaps and Secrets; all others are empty.
struct VolumeReader {
    let resources: ResourceSet

    func mounts(
        of container: Container, in pod: ClusterPod, _ diagnostics: inout [Diagnostic]
    ) -> [MachineProgramPlan.Mount] {
        mounts(
            container.volumeMounts, of: pod.spec.volumes, container: container.name, in: pod.id.namespace, &diagnostics)
    }

    /// What the proxy's container sees: a gateway's own, or what annotations give a sidecar's.
    func proxyMounts(of pod: ClusterPod) -> [MachineProgramPlan.Mount] {
        var ignored: [Diagnostic] = []
        let all = pod.spec.containers + pod.spec.initContainers
        if let container = all.first(where: { $0.name == Injection.proxyContainer }) {
            return mounts(of: container, in: pod, &ignored)
        }
        let annotated = AnnotatedVolumes(pod.annotations)
        return mounts(
            annotated.mounts, of: annotated.volumes, container: Injection.proxyContainer, in: pod.id.namespace,
            &ignored)
    }

    private func mounts(
        _ list: [VolumeMount], of volumes: [Volume], container: String, in namespace: String,
        _ diagnostics: inout [Diagnostic]
    ) -> [MachineProgramPlan.Mount] {
        list.compactMap { mount in
            guard let volume = volumes.first(where: { $0.name == mount.name }) else {
                diagnostics.append(
                    Diagnostic(
                        .error, "container \(container) mounts volume '\(mount.name)', which its pod has not",
                        remedy: "add it to the pod's volumes, or take it from volumeMounts", at: mount.location))
                return nil
            }
            let contents = contents(of: volume, in: namespace, &diagnostics)
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
