import FoundationEssentials
import Manifests
import ProxyModel
import SwiftASN1
import X509

/// The Secrets of one namespace as proxies there get them by `credentialName` (Istio: `CredentialsController`).
///
/// What Istio would not send, or Envoy would not take, is not there for the proxy: connections that need it fail.
struct CredentialStore {
    /// What stands between a proxy and a credential.
    struct Problem: Error, Equatable {
        /// `there is no Secret …`, `Secret … has no …`, `tls.key of Secret … is …`.
        var text: String
        var remedy: String
    }

    private let namespace: String
    private let secrets: [String: Secret]
    private let now: Date

    init(_ resources: ResourceSet, namespace: String, now: Date = Date()) {
        self.namespace = namespace
        self.now = now
        secrets = Dictionary(
            resources.resources(Secret.self).filter { $0.metadata.namespace == namespace }
                .map { ($0.metadata.name, $0) },
            uniquingKeysWith: { _, later in later })
    }

    /// What is shown to peers: the first pair of keys of which both have a value, `cert` and `key` before the others.
    func certificate(_ name: String) throws(Problem) -> ProxySecret.Content {
        guard let secret = secrets[name] else { throw absent(name) }
        let keys = ["tls.crt", "tls.key"]
        let pairs = [["cert", "key"], keys]
        guard let pair = pairs.first(where: { $0.allSatisfy { secret.value($0) != nil } }) else {
            throw lacks(keys.filter { secret.value($0) == nil }, secret)
        }
        let (chain, key) = (secret.text(pair[0]), secret.text(pair[1]))
        let leaf = try self.leaf(of: chain, pair[0], secret)
        guard let privateKey = try? Certificate.PrivateKey(pemEncoded: key) else {
            throw wrong(secret, pair[1], "is no private key in PEM", "put an unencrypted private key into \(pair[1])")
        }
        guard privateKey.publicKey == leaf.publicKey else {
            throw wrong(
                secret, pair[1], "is not the key of the certificate in \(pair[0])",
                "put the certificate's own key into \(pair[1])")
        }
        return .tlsCertificate(chain: chain, key: key)
    }

    /// What peers are verified against: the Secret `NAME-cacert` if there is one, else NAME itself.
    func roots(_ name: String) throws(Problem) -> ProxySecret.Content {
        guard let secret = secrets[name + "-cacert"] ?? secrets[name] else { throw absent(name) }
        guard let key = ["cacert", "ca.crt"].first(where: { secret.value($0) != nil }) else {
            throw lacks(["ca.crt"], secret)
        }
        let roots = secret.text(key)
        _ = try leaf(of: roots, key, secret)
        return .validation(roots)
    }

    /// The first of the certificates, all of which can be read.
    private func leaf(of pem: String, _ key: String, _ secret: Secret) throws(Problem) -> Certificate {
        let remedy = "put a certificate in PEM into \(key)"
        let renewal = "put a certificate into \(key) that is valid now"
        let documents = (try? PEMDocument.parseMultiple(pemString: pem)) ?? []
        let certificates = documents.map { try? Certificate(pemDocument: $0) }
        guard let first = certificates.first ?? nil, certificates.allSatisfy({ $0 != nil }) else {
            throw wrong(secret, key, "is no certificate in PEM", remedy)
        }
        guard first.notValidBefore <= now else { throw wrong(secret, key, "is not valid yet", renewal) }
        guard first.notValidAfter >= now else { throw wrong(secret, key, "has expired", renewal) }
        return first
    }

    private func absent(_ name: String) -> Problem {
        Problem(
            text: "there is no Secret \(namespace)/\(name)",
            remedy: "create the Secret in namespace \(namespace), where the proxy is")
    }

    private func lacks(_ keys: [String], _ secret: Secret) -> Problem {
        let names = keys.joined(separator: " and ")
        return Problem(text: "\(Self.place(of: secret)) has no \(names)", remedy: "give it \(names)")
    }

    private func wrong(_ secret: Secret, _ key: String, _ text: String, _ remedy: String) -> Problem {
        Problem(text: "\(key) of \(Self.place(of: secret)) \(text)", remedy: remedy)
    }

    private static func place(of secret: Secret) -> String {
        let location = secret.metadata.location
        let file = location.file.split(separator: "/").last.map(String.init) ?? location.file
        return "Secret \(secret.metadata.namespace)/\(secret.metadata.name) (\(file):\(location.line))"
    }
}

extension Secret {
    /// The bytes of a key; nil where they are none.
    fileprivate func value(_ key: String) -> [UInt8]? { data[key].flatMap { $0.isEmpty ? nil : $0 } }

    fileprivate func text(_ key: String) -> String { String(decoding: data[key] ?? [], as: UTF8.self) }
}
