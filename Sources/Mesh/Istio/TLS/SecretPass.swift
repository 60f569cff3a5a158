import Manifests
import ProxyModel

/// Hands a proxy the Secrets that its contexts name; those of its identity come from the mesh CA when it starts.
struct SecretPass {
    /// Secrets of the proxy's own namespace, by name.
    private let secrets: [String: Secret]

    init(_ secrets: [Secret], namespace: String) {
        self.secrets = Dictionary(
            secrets.filter { $0.metadata.namespace == namespace }.map { ($0.metadata.name, $0) },
            uniquingKeysWith: { _, later in later })
    }

    func secrets(of configuration: ProxyConfiguration) -> [ProxySecret] {
        let prefix = ProxySecret.credential("")
        return configuration.referencedSecrets.filter { $0.hasPrefix(prefix) }.sorted().compactMap { name in
            secret(named: String(name.dropFirst(prefix.count)), as: name)
        }
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
