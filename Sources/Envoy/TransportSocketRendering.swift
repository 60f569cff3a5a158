import ProxyModel

/// Renders transport sockets: Envoy's `DownstreamTlsContext` and `UpstreamTlsContext`.
struct TransportSocketRendering {
    let secrets: SecretSource

    func downstream(_ context: DownstreamTLSContext, place: String) throws(EnvoyRenderingError) -> JSON {
        var common = common(
            alpnProtocols: context.alpnProtocols, minimum: context.minimumVersion, maximum: context.maximumVersion,
            certificate: context.tlsCertificate)
        if let validation = context.validation { try add(validation, to: &common, place: place) }
        return Self.socket(
            "DownstreamTlsContext",
            [
                "common_tls_context": .object(common),
                "require_client_certificate": .bool(context.requireClientCertificate),
            ])
    }

    func upstream(_ context: UpstreamTLSContext, place: String) throws(EnvoyRenderingError) -> JSON {
        var common = common(
            alpnProtocols: context.alpnProtocols, minimum: context.minimumVersion, maximum: context.maximumVersion,
            certificate: context.tlsCertificate)
        if let validation = context.validation { try add(validation, to: &common, place: place) }
        return Self.socket(
            "UpstreamTlsContext",
            ["common_tls_context": .object(common), "sni": context.serverName.map(JSON.string)])
    }

    static let plaintext: JSON = [
        "name": "envoy.transport_sockets.raw_buffer",
        "typed_config": .typed("envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"),
    ]

    private static func socket(_ type: String, _ fields: JSON) -> JSON {
        [
            "name": "envoy.transport_sockets.tls",
            "typed_config": .typed("envoy.extensions.transport_sockets.tls.v3.\(type)", fields),
        ]
    }

    private func common(
        alpnProtocols: [String], minimum: TLSProtocolVersion, maximum: TLSProtocolVersion, certificate: String?
    ) -> [String: JSON] {
        var result: [String: JSON] = [
            "tls_params": [
                "tls_minimum_protocol_version": .string(minimum.rawValue),
                "tls_maximum_protocol_version": .string(maximum.rawValue),
            ]
        ]
        if let certificate { result["tls_certificate_sds_secret_configs"] = [secrets.reference(to: certificate)] }
        if !alpnProtocols.isEmpty { result["alpn_protocols"] = .array(alpnProtocols.map(JSON.string)) }
        return result
    }

    private func add(
        _ validation: CertificateValidation, to common: inout [String: JSON], place: String
    ) throws(EnvoyRenderingError) {
        var context: [String: JSON] = [:]
        if validation.skipsVerification {
            context["trust_chain_verification"] = "ACCEPT_UNTRUSTED"
        } else if !validation.subjectAltNames.isEmpty {
            if validation.trustedCA == nil {
                throw EnvoyRenderingError(
                    place: place, problem: "it checks the names of certificates that anyone may have issued",
                    remedy: "name the trusted roots")
            }
            context["match_typed_subject_alt_names"] = .array(
                validation.subjectAltNames.flatMap { name in
                    ["DNS", "URI", "IP_ADDRESS"].map { type -> JSON in
                        ["san_type": .string(type), "matcher": RouteMatchRendering.stringMatch(name)]
                    }
                })
        }
        guard let roots = validation.trustedCA else {
            common["validation_context"] = .object(context)
            return
        }
        common["combined_validation_context"] = [
            "default_validation_context": .object(context),
            "validation_context_sds_secret_config": secrets.reference(to: roots),
        ]
    }
}
