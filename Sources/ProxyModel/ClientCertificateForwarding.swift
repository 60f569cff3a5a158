/// What an HTTP connection manager does with `x-forwarded-client-cert` (Envoy: `forward_client_cert_details` and
/// `set_current_client_cert_details`).
package struct ClientCertificateForwarding: Codable, Equatable, Sendable {
    package enum Details: String, Codable, Sendable {
        /// The header is removed.
        case sanitize = "SANITIZE"
        /// Passed on if the client has a certificate, else removed.
        case forwardOnly = "FORWARD_ONLY"
        /// As `forwardOnly`, with the client's certificate appended.
        case appendForward = "APPEND_FORWARD"
        /// Replaced by what the client's certificate says; removed without one.
        case sanitizeSet = "SANITIZE_SET"
        /// Passed on as it is.
        case alwaysForwardOnly = "ALWAYS_FORWARD_ONLY"
    }

    /// The parts of the client's certificate that are told besides `By` and `Hash`.
    package enum Part: String, Codable, Sendable {
        case subject, certificate = "cert", dns, uri
    }

    package var details: Details
    package var parts: [Part]

    package init(_ details: Details, parts: [Part] = []) {
        self.details = details
        self.parts = parts
    }

    /// What Istio's gateways do.
    package static let gateway = Self(.sanitizeSet, parts: [.subject, .certificate, .dns, .uri])
    /// What Istio's sidecars do on their inbound side.
    package static let sidecarInbound = Self(.appendForward, parts: [.subject, .dns, .uri])
}
