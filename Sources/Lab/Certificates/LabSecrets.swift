package import ProxyModel

/// The secrets that a lab itself gives its proxies.
package struct LabSecrets: Sendable {
    private let mesh: MeshCertificateAuthority
    private let authority: LabCertificateAuthority

    package init(mesh: MeshCertificateAuthority, authority: LabCertificateAuthority) {
        self.mesh = mesh
        self.authority = authority
    }

    /// `configuration` with those of the lab's secrets that it refers to and lacks: its identity, the roots of the mesh,
    /// and what its machine trusts, which is the lab's own authority.
    ///
    /// The same configuration gets the same secrets each time, so that an update without a change is none.
    package func complete(_ configuration: ProxyConfiguration) throws -> ProxyConfiguration {
        let lacking = configuration.referencedSecrets.filter { configuration.secret(named: $0) == nil }
        var secrets = configuration.secrets ?? []
        for name in lacking.sorted() {
            switch name {
            case ProxySecret.workloadIdentity:
                let node = configuration.node
                let identity = MeshCertificateAuthority.identity(
                    trustDomain: node.trustDomain ?? "cluster.local", namespace: node.namespace,
                    serviceAccount: node.serviceAccount)
                secrets.append(ProxySecret(name: name, content: try mesh.secret(for: identity)))
            case ProxySecret.meshRoots: secrets.append(ProxySecret(name: name, content: .validation(mesh.rootPEM)))
            case ProxySecret.systemRoots:
                secrets.append(ProxySecret(name: name, content: .validation(authority.rootPEM)))
            default: break
            }
        }
        var result = configuration
        if !secrets.isEmpty { result.secrets = secrets }
        return result
    }
}
