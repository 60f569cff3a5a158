internal import NIOSSL

/// Says in plain words why TLS failed.
///
/// BoringSSL's reasons are not part of NIOSSL's interface, but its description has their names:
/// `error:1000007d:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED`.
enum TLSFailureText {
    static func words(for error: any Error) -> String {
        if let error = error as? NIOSSLError {
            switch error {
            case .uncleanShutdown: return "the peer closed the connection without ending TLS"
            case .unableToValidateCertificate, .noCertificateToValidate: return untrusted
            default: break
            }
        }
        return words(inDescription: "\(error)")
    }

    private static let untrusted = "the certificate is not from the lab's CA, or has expired"

    static func words(inDescription text: String) -> String {
        if text.contains("EOF during") { return "the peer closed the connection during the handshake" }
        // Another CA of the same name shows as a wrong signature.
        if ["CERTIFICATE_VERIFY_FAILED", "BAD_SIGNATURE"].contains(where: text.contains) { return untrusted }
        guard let start = text.firstRange(of: "OPENSSL_internal:")?.upperBound else { return "the handshake broke off" }
        let name = text[start...].prefix { $0.isLetter || $0.isNumber || $0 == "_" }
        switch name {
        case "WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "UNKNOWN_PROTOCOL":
            return "the peer does not speak TLS"
        default: break
        }
        // TLSV1_ALERT_UNRECOGNIZED_NAME, SSLV3_ALERT_HANDSHAKE_FAILURE
        if let alert = name.firstRange(of: "_ALERT_")?.upperBound {
            return "the peer refused it: \(spelt(name[alert...]))"
        }
        return spelt(name)
    }

    private static func spelt(_ name: Substring) -> String { name.lowercased().replacing("_", with: " ") }
}
