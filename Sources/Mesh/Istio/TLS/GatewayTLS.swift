import Manifests
import ProxyModel

extension GatewayServers.Server {
    /// How the server ends its clients' TLS; nil where it does not (gateway.md §2).
    var tlsContext: DownstreamTLSContext? {
        guard terminatesTLS, let settings = server.tls else { return nil }
        let isHTTP = server.port.protocol == .https
        let alpn = isHTTP ? MeshALPN.web : []
        let (minimum, maximum) = Self.versions(settings)
        switch settings.mode.value {
        case .passthrough, .autoPassthrough: return nil
        case .istioMutual:
            return DownstreamTLSContext(
                tlsCertificate: ProxySecret.workloadIdentity, requireClientCertificate: true,
                validation: CertificateValidation(
                    trustedCA: ProxySecret.meshRoots, subjectAltNames: settings.subjectAltNames.map { .exact($0) }),
                alpnProtocols: isHTTP ? MeshALPN.web : MeshALPN.tcp, minimumVersion: minimum,
                maximumVersion: maximum)
        case .simple, .mutual, .optionalMutual:
            let asks = settings.mode.value != .simple
            return DownstreamTLSContext(
                tlsCertificate: settings.credentialName.map { ProxySecret.credential($0.value) }
                    ?? FileSecret.name(
                        certificate: settings.serverCertificate?.value ?? "", key: settings.privateKey?.value ?? ""),
                requireClientCertificate: settings.mode.value == .mutual,
                validation: asks
                    ? CertificateValidation(
                        trustedCA: settings.credentialName.map { ProxySecret.credentialRoots($0.value) }
                            ?? FileSecret.name(roots: settings.caCertificates?.value ?? ""),
                        subjectAltNames: settings.subjectAltNames.map { .exact($0) }) : nil,
                alpnProtocols: alpn, minimumVersion: minimum, maximumVersion: maximum)
        }
    }

    /// Server names of the hosts; empty for any.
    var serverNames: [String] {
        let names = server.hosts.map { $0.name.lowercased() }
        return names.contains("*") ? [] : names
    }

    private static func versions(_ settings: ServerTLSSettings) -> (TLSProtocolVersion, TLSProtocolVersion) {
        (
            settings.minProtocolVersion == .tls13 ? .tls13 : .tls12,
            (settings.maxProtocolVersion ?? .tls13) < .tls13 ? .tls12 : .tls13
        )
    }
}
