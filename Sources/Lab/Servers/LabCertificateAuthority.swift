internal import Crypto
internal import Foundation
internal import NIOConcurrencyHelpers
package import NIOSSL
internal import NetworkAddresses
internal import SwiftASN1
internal import X509

/// The lab's own root: makes certificates for any name on demand, for servers inside one lab only.
package final class LabCertificateAuthority: Sendable {
    /// The root certificate in PEM, for the trust stores of real clients.
    package let rootPEM: String
    /// The root certificate, for the lab's own clients.
    package let root: NIOSSLCertificate

    private struct ServerContextKey: Hashable {
        var name: String
        var protocols: [String]
    }

    private let key: Certificate.PrivateKey
    private let name: DistinguishedName
    private let serverContexts = NIOLockedValueBox<[ServerContextKey: NIOSSLContext]>([:])

    /// Makes a new root, with a new key.
    package init() throws {
        key = Certificate.PrivateKey(P256.Signing.PrivateKey())
        name = try DistinguishedName {
            OrganizationName("egress-lab")
            CommonName("egress-lab root")
        }
        let certificate = try Certificate(
            version: .v3, serialNumber: Certificate.SerialNumber(), publicKey: key.publicKey,
            notValidBefore: Date().addingTimeInterval(-86_400), notValidAfter: Date().addingTimeInterval(7 * 86_400),
            issuer: name, subject: name, signatureAlgorithm: .ecdsaWithSHA256,
            extensions: try Certificate.Extensions {
                Critical(BasicConstraints.isCertificateAuthority(maxPathLength: nil))
                Critical(KeyUsage(keyCertSign: true, cRLSign: true))
            }, issuerPrivateKey: key)
        rootPEM = try certificate.serializeAsPEM().pemString
        root = try NIOSSLCertificate(bytes: Self.der(certificate), format: .der)
    }

    /// A server's side of TLS with a certificate for `name`: a DNS name, `*.suffix`, or an address.
    ///
    /// It negotiates `protocols` by ALPN, in this order of preference.
    package func serverContext(
        for name: String, protocols: [String] = ["h2", "http/1.1"]
    ) throws -> NIOSSLContext {
        let key = ServerContextKey(name: name, protocols: protocols)
        if let context = serverContexts.withLockedValue({ $0[key] }) { return context }
        let leaf = P256.Signing.PrivateKey()
        let alternative: GeneralName =
            if let address = IPAddress(name) {
                .ipAddress(ASN1OctetString(contentBytes: ArraySlice(address.bytes)))
            } else {
                .dnsName(name)
            }
        // A common name takes at most 64 characters (RFC 5280, A.1); clients read the alternative name.
        let commonName = String(name.prefix(64))
        let certificate = try Certificate(
            version: .v3, serialNumber: Certificate.SerialNumber(),
            publicKey: Certificate.PrivateKey(leaf).publicKey,
            notValidBefore: Date().addingTimeInterval(-3600), notValidAfter: Date().addingTimeInterval(6 * 86_400),
            issuer: self.name, subject: try DistinguishedName { CommonName(commonName) },
            signatureAlgorithm: .ecdsaWithSHA256,
            extensions: try Certificate.Extensions {
                Critical(BasicConstraints.notCertificateAuthority)
                Critical(KeyUsage(digitalSignature: true))
                try ExtendedKeyUsage([.serverAuth])
                SubjectAlternativeNames([alternative])
            }, issuerPrivateKey: self.key)
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: [.certificate(try NIOSSLCertificate(bytes: Self.der(certificate), format: .der))],
            privateKey: .privateKey(try NIOSSLPrivateKey(bytes: Array(leaf.derRepresentation), format: .der)))
        configuration.applicationProtocols = protocols
        let context = try NIOSSLContext(configuration: configuration)
        serverContexts.withLockedValue { $0[key] = context }
        return context
    }

    private static func der(_ certificate: Certificate) throws -> [UInt8] {
        var serializer = DER.Serializer()
        try serializer.serialize(certificate)
        return serializer.serializedBytes
    }
}
