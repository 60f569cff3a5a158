internal import Crypto
internal import Foundation
internal import NIOConcurrencyHelpers
package import ProxyModel
internal import SwiftASN1
internal import X509

/// Gives each proxy its identity in the mesh: short-lived certificates whose only name is a SPIFFE URI, as Istio's own
/// authority issues them (https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md).
package final class MeshCertificateAuthority: Sendable {
    /// How long identities are valid: Istio's `SECRET_TTL`.
    private static let lifetime: TimeInterval = 86_400
    /// Clocks of clients may be that much behind.
    private static let leeway: TimeInterval = 120

    /// The root certificate in PEM: the secret `ROOTCA`.
    package let rootPEM: String
    private let key: Certificate.PrivateKey
    private let name: DistinguishedName
    private let identities = NIOLockedValueBox<[String: ProxySecret.Content]>([:])

    /// Makes a new root, with a new key.
    package init() throws {
        let key = Certificate.PrivateKey(P256.Signing.PrivateKey())
        let name = try DistinguishedName { OrganizationName("cluster.local") }
        let certificate = try Certificate(
            version: .v3, serialNumber: Certificate.SerialNumber(), publicKey: key.publicKey,
            notValidBefore: Date().addingTimeInterval(-86_400), notValidAfter: Date().addingTimeInterval(7 * 86_400),
            issuer: name, subject: name, signatureAlgorithm: .ecdsaWithSHA256,
            extensions: try Certificate.Extensions {
                Critical(BasicConstraints.isCertificateAuthority(maxPathLength: nil))
                Critical(KeyUsage(keyCertSign: true))
                SubjectKeyIdentifier(hash: key.publicKey)
            }, issuerPrivateKey: key)
        rootPEM = try certificate.serializeAsPEM().pemString + "\n"
        self.key = key
        self.name = name
    }

    /// `spiffe://cluster.local/ns/default/sa/sleep`
    package static func identity(trustDomain: String, namespace: String, serviceAccount: String) -> String {
        "spiffe://\(trustDomain)/ns/\(namespace)/sa/\(serviceAccount)"
    }

    /// Certificate and key for a SPIFFE URI: one for all workloads that share it, made when it is first asked for.
    package func secret(for identity: String) throws -> ProxySecret.Content {
        if let known = identities.withLockedValue({ $0[identity] }) { return known }
        let made = try issue(identity)
        return identities.withLockedValue { identities in
            if let known = identities[identity] { return known }
            identities[identity] = made
            return made
        }
    }

    private func issue(_ identity: String) throws -> ProxySecret.Content {
        let leaf = P256.Signing.PrivateKey()
        let now = Date()
        let certificate = try Certificate(
            version: .v3, serialNumber: Certificate.SerialNumber(),
            publicKey: Certificate.PrivateKey(leaf).publicKey, notValidBefore: now.addingTimeInterval(-Self.leeway),
            notValidAfter: now.addingTimeInterval(Self.lifetime), issuer: name, subject: DistinguishedName(),
            signatureAlgorithm: .ecdsaWithSHA256,
            extensions: try Certificate.Extensions {
                Critical(BasicConstraints.notCertificateAuthority)
                Critical(KeyUsage(digitalSignature: true, keyEncipherment: true))
                try ExtendedKeyUsage([.serverAuth, .clientAuth])
                AuthorityKeyIdentifier(keyIdentifier: SubjectKeyIdentifier(hash: key.publicKey).keyIdentifier)
                // RFC 5280, 4.2.1.6: critical, since the subject is empty.
                Critical(SubjectAlternativeNames([.uniformResourceIdentifier(identity)]))
            }, issuerPrivateKey: key)
        return .tlsCertificate(
            chain: try certificate.serializeAsPEM().pemString + "\n" + rootPEM,
            key: PEMDocument(type: "PRIVATE KEY", derBytes: Array(leaf.derRepresentation)).pemString + "\n")
    }
}
