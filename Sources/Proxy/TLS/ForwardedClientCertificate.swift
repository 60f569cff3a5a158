import ProxyModel

/// `x-forwarded-client-cert`: what the proxy tells upstreams of the client's certificate.
enum ForwardedClientCertificate {
    static let headerName = "x-forwarded-client-cert"

    /// The header's value upstream; nil leaves it away. `received` are the client's own.
    static func value(
        _ forwarding: ClientCertificateForwarding?, received: [String], session: TLSSession?
    ) -> String? {
        let kept = received.isEmpty ? nil : received.joined(separator: ",")
        let forwarding = forwarding ?? ClientCertificateForwarding(.sanitize)
        if forwarding.details == .alwaysForwardOnly { return kept }
        guard let session, let peer = session.peer else { return nil }
        switch forwarding.details {
        case .sanitize, .alwaysForwardOnly: return nil
        case .forwardOnly: return kept
        case .sanitizeSet: return element(peer, by: session.localURISAN, forwarding.parts)
        case .appendForward:
            return [kept, element(peer, by: session.localURISAN, forwarding.parts)].compactMap { $0 }.joined(
                separator: ",")
        }
    }

    /// `By=spiffe://…;Hash=…;Cert="…";Subject="";URI=spiffe://…;DNS=…`
    private static func element(
        _ peer: PeerCertificate, by local: String?, _ parts: [ClientCertificateForwarding.Part]
    ) -> String {
        var fields: [String] = []
        if let local { fields.append("By=\(local)") }
        fields.append("Hash=\(peer.fingerprint)")
        if parts.contains(.certificate) { fields.append("Cert=\"\(percentEncoded(peer.pem))\"") }
        if parts.contains(.subject) { fields.append("Subject=\"\(peer.subject)\"") }
        if parts.contains(.uri) {
            fields += peer.uris.isEmpty ? ["URI="] : peer.uris.map { "URI=\($0)" }
        }
        if parts.contains(.dns) { fields += peer.dnsNames.map { "DNS=\($0)" } }
        return fields.joined(separator: ";")
    }

    /// As BoringSSL's PEM goes into a header: what is not unreserved (RFC 3986, 2.3) becomes `%XX`.
    private static func percentEncoded(_ text: String) -> String {
        var result = ""
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."),
                UInt8(ascii: "~"):
                result.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let digits = String(byte, radix: 16, uppercase: true)
                result += "%" + (digits.count < 2 ? "0" : "") + digits
            }
        }
        return result
    }
}
