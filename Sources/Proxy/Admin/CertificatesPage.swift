import FoundationEssentials
import ProxyModel
import SwiftASN1
import X509

/// The certificates that a proxy has, as Envoy's `/certs` shows them.
struct CertificatesPage {
    private let secrets: [ProxySecret]

    init(_ secrets: [ProxySecret]) { self.secrets = secrets }

    /// An entry for each certificate with a key, with the roots that it comes with.
    var json: String {
        var entries: [String] = []
        for secret in secrets {
            guard case .tlsCertificate(let chain, _) = secret.content else { continue }
            let rootsName =
                secret.name == ProxySecret.workloadIdentity ? ProxySecret.meshRoots : secret.name + "-cacert"
            var roots: [String] = []
            if case .validation(let pem)? = secrets.first(where: { $0.name == rootsName })?.content {
                roots = Self.details(pem)
            }
            entries.append(
                "  {\n   \"ca_cert\": [\n\(roots.joined(separator: ",\n"))\n   ],\n"
                    + "   \"cert_chain\": [\n\(Self.details(chain).joined(separator: ",\n"))\n   ]\n  }")
        }
        return entries.isEmpty
            ? "{\n \"certificates\": []\n}" : "{\n \"certificates\": [\n\(entries.joined(separator: ",\n"))\n ]\n}"
    }

    /// Envoy: `admin.v3.CertificateDetails`.
    private static func details(_ pem: String) -> [String] {
        let documents = (try? PEMDocument.parseMultiple(pemString: pem)) ?? []
        return documents.compactMap { try? Certificate(pemDocument: $0) }.map { certificate in
            let peer = PeerCertificate(certificate)
            let names =
                peer.dnsNames.map { ("dns", $0) } + peer.uris.map { ("uri", $0) }
                + peer.alternativeNames.dropFirst(peer.dnsNames.count + peer.uris.count).map { ("ip_address", $0) }
            let serial = certificate.serialNumber.bytes.map { byte in
                String(byte >> 4, radix: 16) + String(byte & 15, radix: 16)
            }.joined()
            func seconds(_ time: Double) -> String { UTCTime.formatted(time, as: "%Y-%m-%dT%H:%M:%SZ") }
            let end = certificate.notValidAfter.timeIntervalSince1970
            let members = [
                #""path": "<inline>""#, #""serial_number": "\#(serial)""#,
                #""subject_alt_names": [\#(names.map { #"{"\#($0)": \#(JSONText.quoted($1))}"# }.joined(separator: ", "))]"#,
                #""days_until_expiration": "\#(max(0, Int((end - WallClock.now()) / 86_400)))""#,
                #""valid_from": "\#(seconds(certificate.notValidBefore.timeIntervalSince1970))""#,
                #""expiration_time": "\#(seconds(end))""#,
            ]
            return "    {\n" + members.map { "     " + $0 }.joined(separator: ",\n") + "\n    }"
        }
    }
}
