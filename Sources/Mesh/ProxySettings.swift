package import Manifests

/// What a pod's proxy was started with.
package struct ProxySettings: Sendable {
    /// A value in force, and who gave it.
    package struct Given: Sendable {
        package var text: String
        package var origin: Origin
    }

    /// `proxyMetadata`, `environmentVariables` and the environment of the proxy's container, in Istio's order.
    package var metadata: [String: Given]
    package var headers: MeshConfig.ProxyHeaders
    package var interceptionMode: Given?

    /// `ISTIO_META_IDLE_TIMEOUT`: how long clients' connections of HTTP may be idle.
    package var httpIdleTimeoutMs: Int? {
        metadata["ISTIO_META_IDLE_TIMEOUT"].flatMap { MeshConfig.milliseconds($0.text) }
    }
}

/// Finds what a pod's proxy is started with (Istio: `ProxyConfigs.EffectiveProxyConfig`): the mesh's word is under that
/// of the root namespace's ProxyConfig, that under the pod's namespace's, that under the pod's own annotation, that under
/// the ProxyConfig which selects the pod, and all of them under what its container's environment says.
struct ProxySettingsIndex {
    private static let annotation = "proxy.istio.io/config"

    private let mesh: MeshConfig
    /// In order of age, oldest first.
    private let configs: [ProxyConfig]

    init(_ configs: [ProxyConfig], mesh: MeshConfig) {
        self.configs = configs
        self.mesh = mesh
    }

    /// - Parameter owner: what the pod is of; the annotation's and the container's values are said to be its.
    func settings(
        namespace: String, labels: [String: String], annotations: [String: Located<String>], spec: PodSpec,
        owner: Origin
    ) -> ProxySettings {
        let own = annotations[Self.annotation].flatMap(MeshConfig.init(proxyConfigAnnotation:))
        var result = ProxySettings(
            metadata: [:], headers: mesh.overlaid(by: own ?? MeshConfig()).proxyHeaders, interceptionMode: nil)
        if let mode = own?.interceptionMode {
            result.interceptionMode = .init(text: mode.value, origin: owner.of("interceptionMode", at: mode.location))
        } else if let mode = mesh.interceptionMode {
            result.interceptionMode = .init(
                text: mode.value, origin: .mesh("defaultConfig.interceptionMode", at: mode.location))
        }
        for (key, value) in mesh.proxyMetadata {
            let origin = Origin.mesh("defaultConfig.proxyMetadata.\(key)", at: value.location)
            result.metadata[key] = .init(text: value.value, origin: origin)
        }
        let root = mesh.rootNamespace ?? "istio-system"
        let inNamespace = configs.filter { $0.metadata.namespace == namespace }
        result.lay(configs.first { $0.metadata.namespace == root && $0.selector == nil })
        if namespace != root { result.lay(inNamespace.first { $0.selector == nil }) }
        for (key, value) in own?.proxyMetadata ?? [:] {
            result.metadata[key] = .init(text: value.value, origin: owner.of(key, at: value.location))
        }
        result.lay(inNamespace.first { $0.selector.map(labels.hasAll) ?? false })
        let container = (spec.initContainers + spec.containers).first { $0.name == Injection.proxyContainer }
        for (key, value) in container?.environment ?? [:] {
            result.metadata[key] = .init(text: value, origin: owner.of(key, at: container?.location))
        }
        return result
    }
}

extension ProxySettings {
    fileprivate mutating func lay(_ config: ProxyConfig?) {
        for (key, value) in config?.environmentVariables ?? [:] {
            metadata[key] = Given(
                text: value.value, origin: config?.origin(key, at: value.location) ?? .mesh(key, at: value.location))
        }
    }
}

extension Origin {
    /// A value of the mesh configuration.
    static func mesh(_ name: String, at location: SourceLocation) -> Origin {
        Origin(kind: "MeshConfig", namespace: "", name: name, location: location)
    }

    /// A field of the same object.
    fileprivate func of(_ field: String, at location: SourceLocation?) -> Origin {
        var result = self
        result.field = field
        result.location = location ?? result.location
        return result
    }
}
