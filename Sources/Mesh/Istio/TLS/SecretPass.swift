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

    /// What `secrets(of:)` gives: the secrets that there are, and what there is not.
    struct Result {
        var found: [ProxySecret]
        var missingFiles: [String] = []
        /// Names of Secrets in the proxy's namespace, with what they lack; nil: there is no such Secret.
        var missingCredentials: [(name: String, lack: String?)] = []
    }

    func secrets(of configuration: ProxyConfiguration) -> Result {
        let prefix = ProxySecret.credential("")
        let names = configuration.referencedSecrets.sorted()
        var result = Result(found: [])
        for reference in names where reference.hasPrefix(prefix) {
            let name = String(reference.dropFirst(prefix.count))
            if let secret = secret(named: name, as: reference) {
                result.found.append(secret)
            } else {
                result.missingCredentials.append(lack(of: name))
            }
        }
        let fromFiles = names.compactMap { name in FileSecret.files(of: name).map { (name, $0) } }
        if fromFiles.isEmpty { return result }
        let files = Dictionary(
            volumes.proxyMounts(of: pod).flatMap(\.files).map { ($0.path, Self.text($0.content)) },
            uniquingKeysWith: { _, later in later })
        for (name, paths) in fromFiles {
            let texts = paths.compactMap { files[$0] }
            result.missingFiles += paths.filter { files[$0] == nil }
            guard texts.count == paths.count else { continue }
            result.found.append(
                ProxySecret(
                    name: name,
                    content: texts.count == 2
                        ? .tlsCertificate(chain: texts[0], key: texts[1]) : .validation(texts[0])))
        }
        return result
    }

    private func lack(of name: String) -> (String, String?) {
        let base = name.hasSuffix("-cacert") ? String(name.dropLast("-cacert".count)) : name
        guard secrets[name] != nil || secrets[base] != nil else { return (base, nil) }
        return (base, name == base ? "tls.crt and tls.key" : "ca.crt")
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
