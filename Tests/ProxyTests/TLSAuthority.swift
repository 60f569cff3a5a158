import Crypto
import Foundation
import NIOSSL
import ProxyModel
import SwiftASN1
import X509

/// An authority for one test, and the certificates that it makes.
struct TLSAuthority {
    struct Identity {
        var chain: String
        var key: String

        func secret(_ name: String) -> ProxySecret {
            ProxySecret(name: name, content: .tlsCertificate(chain: chain, key: key))
        }
    }

    enum Usage { case server, client, both, none }

    let pem: String
    private let certificate: Certificate
    private let key: Certificate.PrivateKey
    private let above: [Certificate]

    /// A root, or an authority under `parent`.
    init(_ name: String = "test root", under parent: TLSAuthority? = nil) throws {
        let made = Certificate.PrivateKey(P256.Signing.PrivateKey())
        key = made
        let subject = try DistinguishedName { CommonName(name) }
        certificate = try Certificate(
            version: .v3, serialNumber: Certificate.SerialNumber(), publicKey: made.publicKey,
            notValidBefore: Date().addingTimeInterval(-86_400), notValidAfter: Date().addingTimeInterval(86_400),
            issuer: parent?.certificate.subject ?? subject, subject: subject, signatureAlgorithm: .ecdsaWithSHA256,
            extensions: try Certificate.Extensions {
                Critical(BasicConstraints.isCertificateAuthority(maxPathLength: nil))
                Critical(KeyUsage(keyCertSign: true))
            }, issuerPrivateKey: parent?.key ?? made)
        above = parent.map { [$0.certificate] + $0.above } ?? []
        pem = try certificate.serializeAsPEM().pemString
    }

    func roots(_ name: String) -> ProxySecret { ProxySecret(name: name, content: .validation(pem)) }

    /// A certificate for DNS names and URIs; `from` and `until` are seconds from now.
    func issue(
        dns: [String] = [], uris: [String] = [], commonName: String? = nil, usage: Usage = .both, from: Double = -3600,
        until: Double = 3600, criticalNames: Bool = false, withIntermediates: Bool = true, isAuthority: Bool = false
    ) throws -> Identity {
        let leaf = P256.Signing.PrivateKey()
        let names = SubjectAlternativeNames(
            dns.map { .dnsName($0) } + uris.map { .uniformResourceIdentifier($0) })
        let purposes: [ExtendedKeyUsage.Usage] =
            switch usage {
            case .server: [.serverAuth]
            case .client: [.clientAuth]
            case .both: [.serverAuth, .clientAuth]
            case .none: []
            }
        let certificate = try Certificate(
            version: .v3, serialNumber: Certificate.SerialNumber(), publicKey: Certificate.PrivateKey(leaf).publicKey,
            notValidBefore: Date().addingTimeInterval(from), notValidAfter: Date().addingTimeInterval(until),
            issuer: self.certificate.subject,
            subject: try commonName.map { name in try DistinguishedName { CommonName(name) } } ?? DistinguishedName(),
            signatureAlgorithm: .ecdsaWithSHA256,
            extensions: try Certificate.Extensions {
                Critical(
                    isAuthority ? BasicConstraints.isCertificateAuthority(maxPathLength: nil) : .notCertificateAuthority
                )
                Critical(KeyUsage(digitalSignature: true))
                if !purposes.isEmpty { try ExtendedKeyUsage(purposes) }
                if criticalNames { Critical(names) } else { names }
            }, issuerPrivateKey: key)
        var chain = try certificate.serializeAsPEM().pemString
        if withIntermediates, !above.isEmpty { chain += "\n" + pem }
        return Identity(
            chain: chain, key: PEMDocument(type: "PRIVATE KEY", derBytes: Array(leaf.derRepresentation)).pemString)
    }
}

/// A certificate that vouches for itself.
extension TLSAuthority {
    static func selfSigned(dns: [String]) throws -> Identity {
        let leaf = P256.Signing.PrivateKey()
        let name = try DistinguishedName { CommonName("self") }
        let certificate = try Certificate(
            version: .v3, serialNumber: Certificate.SerialNumber(), publicKey: Certificate.PrivateKey(leaf).publicKey,
            notValidBefore: Date().addingTimeInterval(-60), notValidAfter: Date().addingTimeInterval(3600),
            issuer: name, subject: name, signatureAlgorithm: .ecdsaWithSHA256,
            extensions: try Certificate.Extensions { SubjectAlternativeNames(dns.map { .dnsName($0) }) },
            issuerPrivateKey: Certificate.PrivateKey(leaf))
        return Identity(
            chain: try certificate.serializeAsPEM().pemString,
            key: PEMDocument(type: "PRIVATE KEY", derBytes: Array(leaf.derRepresentation)).pemString)
    }
}
