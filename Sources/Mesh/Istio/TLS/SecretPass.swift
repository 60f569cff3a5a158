import Manifests
import ProxyModel

/// Hands a proxy the Secrets that its contexts name; those of its identity come from the mesh CA when it starts.
struct SecretPass {
    /// Secrets of the proxy's own namespace, by name.
    private let secrets: [String: Secret]
    private let volumes: VolumeReader
    private let pod: ClusterPod

    init(_ resources: ResourceSet, pod: ClusterPod) {
        secrets = Dictionary(
            resources.resources(Secret.self).filter { $0.metadata.namespace == pod.id.namespace }
                .map { ($0.metadata.name, $0) },
            uniquingKeysWith: { _, later in later })
        volumes = VolumeReader(resources: resources)
        self.pod = pod
    }

    /// The secrets that there are, and the files that there are not.
    func secrets(of configuration: ProxyConfiguration) -> (found: [ProxySecret], missingFiles: [String]) {
        let prefix = ProxySecret.credential("")
        let names = configuration.referencedSecrets.sorted()
        var found = names.filter { $0.hasPrefix(prefix) }.compactMap { name in
            secret(named: String(name.dropFirst(prefix.count)), as: name)
        }
        let fromFiles = names.compactMap { name in FileSecret.files(of: name).map { (name, $0) } }
        if fromFiles.isEmpty { return (found, []) }
        let files = Dictionary(
            volumes.proxyMounts(of: pod).flatMap(\.files).map { ($0.path, Self.text($0.content)) },
            uniquingKeysWith: { _, later in later })
        var missing: [String] = []
        for (name, paths) in fromFiles {
            let texts = paths.compactMap { files[$0] }
            missing += paths.filter { files[$0] == nil }
            guard texts.count == paths.count else { continue }
            found.append(
                ProxySecret(
                    name: name,
                    content: texts.count == 2
                        ? .tlsCertificate(chain: texts[0], key: texts[1]) : .validation(texts[0])))
        }
        return (found, missing)
    }

    /// `NAME-cacert` is a Secret of that name, or the roots inside `NAME`.
    private func secret(named name: String, as reference: String) -> ProxySecret? {
        if name.hasSuffix("-cacert") {
            let roots = (secrets[name] ?? secrets[String(name.dropLast("-cacert".count))])?.caCertificate
            return roots.map { ProxySecret(name: reference, content: .validation(Self.text($0))) }
        }
        guard let secret = secrets[name], let chain = secret.certificate, let key = secret.privateKey else {
            return nil
        }
        return ProxySecret(name: reference, content: .tlsCertificate(chain: Self.text(chain), key: Self.text(key)))
    }

    private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
}
