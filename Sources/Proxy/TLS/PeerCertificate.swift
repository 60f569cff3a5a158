import Crypto
import NetworkAddresses
import SwiftASN1
import X509

/// What a certificate says of its owner, as Envoy reads it.
struct PeerCertificate: Sendable {
    private let certificate: Certificate
    let dnsNames: [String]
    let uris: [String]
    private let addresses: [String]
    private let mailboxes: [String]

    init(_ certificate: Certificate) {
        self.certificate = certificate
        let names: [GeneralName] =
            ((try? certificate.extensions.subjectAlternativeNames).flatMap { $0 }).map(Array.init) ?? []
        dnsNames = names.compactMap { if case .dnsName(let name) = $0 { name } else { nil } }
        uris = names.compactMap { if case .uniformResourceIdentifier(let uri) = $0 { uri } else { nil } }
        mailboxes = names.compactMap { if case .rfc822Name(let name) = $0 { name } else { nil } }
        addresses = names.compactMap { name in
            guard case .ipAddress(let octets) = name else { return nil }
            return IPAddress(bytes: octets.bytes)?.description
        }
    }

    /// The certificate in `bytes`; nil when they are none.
    init?(der bytes: [UInt8]) {
        guard let certificate = try? Certificate(derEncoded: bytes) else { return nil }
        self.init(certificate)
    }

    /// In the order in which Envoy lists them.
    var alternativeNames: [String] { dnsNames + uris + mailboxes + addresses }

    /// Whether one of the names is `name`; a name of the form `*.example.com` covers one label.
    func isNamed(exactly name: String) -> Bool {
        dnsNames.contains { Self.dnsName($0, covers: name) } || uris.contains(name) || addresses.contains(name)
    }

    func isNamed(_ match: CompiledStringMatch) -> Bool {
        if let name = match.exactText, dnsNames.contains(where: { Self.dnsName($0, covers: name) }) { return true }
        return alternativeNames.contains { match.matches($0[...]) }
    }

    /// RFC 2253, the most specific part first; empty for workload certificates.
    var subject: String { "\(certificate.subject)" }

    /// RFC 6125, 6.4: case is folded, and a wildcard stands for one whole label.
    static func dnsName(_ pattern: String, covers name: String) -> Bool {
        let pattern = pattern.lowercased()
        let name = name.lowercased()
        if pattern == name { return true }
        guard pattern.hasPrefix("*."), let dot = name.firstIndex(of: "."), dot > name.startIndex else { return false }
        return pattern.dropFirst() == name[dot...]
    }

    // MARK: Encoded forms

    private var der: [UInt8] {
        var serializer = DER.Serializer()
        // A certificate that was parsed can be written.
        try? serializer.serialize(certificate)
        return serializer.serializedBytes
    }

    /// SHA-256 of the certificate in lower-case hexadecimal digits.
    var fingerprint: String {
        SHA256.hash(data: der).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    }

    /// The certificate in PEM, ended by a newline.
    var pem: String { PEMDocument(type: "CERTIFICATE", derBytes: der).pemString + "\n" }
}
