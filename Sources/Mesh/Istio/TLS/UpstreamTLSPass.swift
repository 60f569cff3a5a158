import Manifests
import ProxyModel

/// Says how connections to a cluster's endpoints are encrypted: what a DestinationRule asks for, else mutual TLS
/// between members of the mesh (outbound.md §8).
struct UpstreamTLSPass {
    let context: ProxyContext
    let service: RegistryService
    let port: RegistryService.Port
    let rule: DestinationRuleIndex.Match?
    let subset: String?

    /// Whether the cluster speaks HTTP/2: by its port, or because it was upgraded.
    private var isHTTP2 = false

    init(
        context: ProxyContext, service: RegistryService, port: RegistryService.Port, rule: DestinationRuleIndex.Match?,
        subset: String?
    ) {
        self.context = context
        self.service = service
        self.port = port
        self.rule = rule
        self.subset = subset
    }

    /// Adds the contexts to `cluster`; `policy` is what holds for the port and subset.
    mutating func encrypt(_ cluster: inout ProxyModel.Cluster, policy: TrafficPolicy?) {
        isHTTP2 = cluster.httpProtocolOptions == .http2
        if let settings = policy?.tls {
            cluster.transportSocket = context(settings)
        } else if context.mesh.enableAutoMtls != false, !context.isIstio10 {
            encryptInMesh(&cluster)
        }
    }

    /// Endpoints that say so get mutual TLS, the rest plaintext. Where the endpoint is whatever the client dialled,
    /// all must say so.
    private func encryptInMesh(_ cluster: inout ProxyModel.Cluster) {
        let members = port.endpoints.filter(\.speaksMutualTLS)
        guard !members.isEmpty else { return }
        let mutual = meshContext(nil)
        guard cluster.discovery != .originalDestination else {
            if members.count == port.endpoints.count { cluster.transportSocket = mutual }
            return
        }
        cluster.transportSocketMatches = [
            TransportSocketMatch(name: "tlsMode-istio", match: ["tlsMode": "istio"], context: mutual),
            TransportSocketMatch(name: "tlsMode-disabled"),
        ]
    }

    private func context(_ settings: ClientTLSSettings) -> UpstreamTLSContext? {
        switch settings.mode.value {
        case .disable: return nil
        case .istioMutual: return meshContext(settings)
        case .simple, .mutual: break
        }
        if let credential = settings.credentialName, !context.isRouter, rule?.isSelected != true {
            context.diagnostics.warn(
                "credentialName \(credential.value): sidecars take it only from a DestinationRule with a "
                    + "workloadSelector, so connections to \(service.hostname):\(port.number) stay plaintext",
                remedy: "add a workloadSelector, or use caCertificates", at: credential.location)
            return nil
        }
        let names = settings.subjectAltNames ?? (service.subjectAltNames.isEmpty ? nil : service.subjectAltNames)
        return UpstreamTLSContext(
            serverName: settings.sni, autoServerName: settings.sni == nil && isHTTP,
            autoSANValidation: names == nil && isHTTP && !settings.insecureSkipVerify,
            tlsCertificate: settings.mode.value == .mutual ? certificate(settings) : nil,
            validation: CertificateValidation(
                trustedCA: roots(settings), subjectAltNames: (names ?? []).map { .exact($0) },
                skipsVerification: settings.insecureSkipVerify),
            alpnProtocols: isHTTP2 ? ["h2"] : [], minimumVersion: minimum(context.mesh.defaultTLSMinProtocolVersion))
    }

    private func meshContext(_ settings: ClientTLSSettings?) -> UpstreamTLSContext {
        let identities = settings?.subjectAltNames ?? service.identities
        return UpstreamTLSContext(
            serverName: settings?.sni
                ?? ClusterName.serverName(port: port.number, subset: subset, host: service.hostname),
            tlsCertificate: ProxySecret.workloadIdentity,
            validation: CertificateValidation(
                trustedCA: ProxySecret.meshRoots, subjectAltNames: identities.map { .exact($0) }),
            alpnProtocols: alpn,
            minimumVersion: minimum(context.mesh.meshMTLSMinProtocolVersion))
    }

    /// Where requests decide the version nothing but the mesh's own names is offered: the server, which knows none of
    /// them, then looks at the first bytes.
    private var alpn: [String] {
        if isHTTP2 { return MeshALPN.http2 }
        guard isHTTP else { return MeshALPN.tcp }
        return MeshALPN.http1.filter { port.protocol != .unspecified || $0.hasPrefix("istio") }
    }

    private var isHTTP: Bool { port.protocol.isHTTP || port.protocol == .unspecified }

    private func roots(_ settings: ClientTLSSettings) -> String {
        if let name = settings.credentialName { return ProxySecret.credentialRoots(name.value) }
        return settings.caCertificates.map { FileSecret.name(roots: $0.value) } ?? ProxySecret.systemRoots
    }

    private func certificate(_ settings: ClientTLSSettings) -> String {
        if let name = settings.credentialName { return ProxySecret.credential(name.value) }
        return FileSecret.name(
            certificate: settings.clientCertificate?.value ?? "", key: settings.privateKey?.value ?? "")
    }

    private func minimum(_ version: TLSVersion?) -> TLSProtocolVersion { version == .tls13 ? .tls13 : .tls12 }
}
