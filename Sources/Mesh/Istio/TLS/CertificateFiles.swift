import Manifests

/// Where DestinationRules and Gateways name files of certificates and keys.
enum CertificateFiles {
    static func locations(_ rules: [DestinationRule], _ gateways: [Gateway]) -> [String: SourceLocation] {
        let settings = settings(of: rules)
        let servers = gateways.flatMap(\.servers).compactMap(\.tls)
        let named =
            settings.flatMap { [$0.clientCertificate, $0.privateKey, $0.caCertificates] }
            + servers.flatMap { [$0.serverCertificate, $0.privateKey, $0.caCertificates] }
        return Dictionary(named.compactMap { $0 }.map { ($0.value, $0.location) }) { first, _ in first }
    }

    /// Where DestinationRules name Secrets.
    static func credentials(_ rules: [DestinationRule]) -> [String: SourceLocation] {
        let named = settings(of: rules).compactMap(\.credentialName)
        return Dictionary(named.map { ($0.value, $0.location) }) { first, _ in first }
    }

    private static func settings(of rules: [DestinationRule]) -> [ClientTLSSettings] {
        let policies = rules.flatMap { rule in
            ([rule.trafficPolicy] + rule.subsets.map(\.trafficPolicy)).compactMap { $0 }
        }
        return (policies + policies.flatMap { $0.portLevelSettings.map(\.policy) }).compactMap(\.tls)
    }
}
