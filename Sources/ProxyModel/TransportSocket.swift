/// The versions of TLS that a context may allow (Envoy: `TlsParameters.TlsProtocol`); older ones are never spoken.
package enum TLSProtocolVersion: String, Codable, Sendable, Comparable {
    case tls12 = "TLSv1_2"
    case tls13 = "TLSv1_3"

    package static func < (left: Self, right: Self) -> Bool { left == .tls12 && right == .tls13 }
}

/// Envoy: `CertificateValidationContext`. The peer's chain must lead to a trusted root, and one of its alternative names
/// must match, if there are matchers.
package struct CertificateValidation: Codable, Hashable, Sendable {
    /// Name of the `ProxySecret` with the trusted roots. nil trusts every chain, as Envoy does without `trusted_ca`.
    package var trustedCA: String?
    /// Matched against DNS names, URIs and addresses alike; any match will do. Empty takes every name.
    package var subjectAltNames: [StringMatch]
    /// Istio's `insecureSkipVerify`: neither the chain nor the names are looked at.
    package var skipsVerification: Bool

    package init(trustedCA: String?, subjectAltNames: [StringMatch] = [], skipsVerification: Bool = false) {
        self.trustedCA = trustedCA
        self.subjectAltNames = subjectAltNames
        self.skipsVerification = skipsVerification
    }
}

/// Envoy: `DownstreamTlsContext`, the server's side of TLS on a filter chain.
///
/// As in Envoy, connections to a chain whose secrets are missing are closed at once and counted in
/// `listener.X.server_ssl_socket_factory.downstream_context_secrets_not_ready`.
package struct DownstreamTLSContext: Codable, Hashable, Sendable {
    /// Name of the `ProxySecret` with certificate chain and key.
    package var tlsCertificate: String
    /// Refuses clients without a certificate. Otherwise one is asked for if there is a `validation`, and checked if
    /// the client has one.
    package var requireClientCertificate: Bool
    package var validation: CertificateValidation?
    /// The server's preference; a client that offers none of them goes on without.
    package var alpnProtocols: [String]
    package var minimumVersion: TLSProtocolVersion
    package var maximumVersion: TLSProtocolVersion

    package init(
        tlsCertificate: String, requireClientCertificate: Bool = false, validation: CertificateValidation? = nil,
        alpnProtocols: [String] = [], minimumVersion: TLSProtocolVersion = .tls12,
        maximumVersion: TLSProtocolVersion = .tls13
    ) {
        self.tlsCertificate = tlsCertificate
        self.requireClientCertificate = requireClientCertificate
        self.validation = validation
        self.alpnProtocols = alpnProtocols
        self.minimumVersion = minimumVersion
        self.maximumVersion = maximumVersion
    }
}

/// Envoy: `UpstreamTlsContext`, the client's side of TLS towards a cluster's endpoints.
///
/// As in Envoy, connections of a cluster whose secrets are missing fail before anything is sent, with the reason
/// `TLS_error:_Secret_is_not_supplied_by_SDS`.
package struct UpstreamTLSContext: Codable, Hashable, Sendable {
    /// The SNI; nil sends none, unless `autoServerName` gives one.
    package var serverName: String?
    /// The request's Host is the SNI (Envoy: `auto_sni`; HTTP only). It wins over `serverName`.
    package var autoServerName: Bool
    /// The certificate must be valid for the Host, whatever `validation` matches (Envoy: `auto_san_validation`; HTTP
    /// only).
    package var autoSANValidation: Bool
    /// Name of the `ProxySecret` that is shown to servers that ask for a certificate.
    package var tlsCertificate: String?
    /// nil takes every certificate.
    package var validation: CertificateValidation?
    package var alpnProtocols: [String]
    package var minimumVersion: TLSProtocolVersion
    package var maximumVersion: TLSProtocolVersion

    package init(
        serverName: String? = nil, autoServerName: Bool = false, autoSANValidation: Bool = false,
        tlsCertificate: String? = nil, validation: CertificateValidation? = nil, alpnProtocols: [String] = [],
        minimumVersion: TLSProtocolVersion = .tls12, maximumVersion: TLSProtocolVersion = .tls13
    ) {
        self.serverName = serverName
        self.autoServerName = autoServerName
        self.autoSANValidation = autoSANValidation
        self.tlsCertificate = tlsCertificate
        self.validation = validation
        self.alpnProtocols = alpnProtocols
        self.minimumVersion = minimumVersion
        self.maximumVersion = maximumVersion
    }
}

/// Envoy: `Cluster.TransportSocketMatch`. Endpoints whose metadata has all of `match` get this context.
package struct TransportSocketMatch: Codable, Equatable, Sendable {
    /// `tlsMode-istio`, `tlsMode-disabled`.
    package var name: String
    /// `tlsMode: istio`; empty matches every endpoint.
    package var match: [String: String]
    /// nil is plaintext (Envoy: `raw_buffer`).
    package var context: UpstreamTLSContext?

    package init(name: String, match: [String: String] = [:], context: UpstreamTLSContext? = nil) {
        self.name = name
        self.match = match
        self.context = context
    }
}

extension Cluster {
    /// The context for an endpoint: that of the first match, else the cluster's own; nil is plaintext.
    package func tlsContext(forEndpointMetadata metadata: [String: String]) -> UpstreamTLSContext? {
        for candidate in transportSocketMatches ?? []
        where candidate.match.allSatisfy({ metadata[$0.key] == $0.value }) {
            return candidate.context
        }
        return transportSocket
    }
}
