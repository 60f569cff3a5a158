import Manifests
import ProxyModel

/// Hands a proxy the Secrets that its contexts name; those of its identity come from the mesh CA when it starts.
struct SecretPass {
    private let credentials: CredentialStore
    private let volumes: VolumeReader
    private let pod: ClusterPod

    init(_ resources: ResourceSet, pod: ClusterPod) {
        credentials = CredentialStore(resources, namespace: pod.id.namespace)
        volumes = VolumeReader(resources: resources)
        self.pod = pod
    }

    /// What `secrets(of:)` gives: the secrets that there are, and what there is not.
    struct Result {
        var found: [ProxySecret]
        var missingFiles: [String] = []
        /// Names of Secrets in the proxy's namespace, with what stands in the way.
        var missingCredentials: [(name: String, problem: CredentialStore.Problem)] = []
    }

    func secrets(of configuration: ProxyConfiguration) -> Result {
        let names = configuration.referencedSecrets.sorted()
        var result = Result(found: [])
        for reference in names {
            guard let credential = ProxySecret.credential(ofReference: reference) else { continue }
            do throws(CredentialStore.Problem) {
                let content =
                    credential.isRoots
                    ? try credentials.roots(credential.name) : try credentials.certificate(credential.name)
                result.found.append(ProxySecret(name: reference, content: content))
            } catch {
                result.missingCredentials.append((credential.name, error))
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

    private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
}
