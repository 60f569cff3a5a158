/// Envoy: `Secret`. What TLS contexts refer to by name.
package struct ProxySecret: Codable, Equatable, Sendable {
    package enum Content: Codable, Equatable, Sendable {
        /// A certificate with its chain, the leaf first, and its private key; PEM.
        case tlsCertificate(chain: String, key: String)
        /// Trusted roots; PEM.
        case validation(String)
    }

    package var name: String
    package var content: Content

    package init(name: String, content: Content) {
        self.name = name
        self.content = content
    }

    /// The proxy's own identity in the mesh.
    package static let workloadIdentity = "default"
    /// The roots of the mesh.
    package static let meshRoots = "ROOTCA"
    /// The roots that a machine trusts; in a lab, the lab's own authority.
    package static let systemRoots = "file-root:system"

    /// The secret that a Gateway or DestinationRule names as `credentialName`.
    package static func credential(_ name: String) -> String { credentialPrefix + name }
    /// The roots that come with a credential.
    package static func credentialRoots(_ name: String) -> String { credentialPrefix + name + rootsSuffix }

    /// What `credential` or `credentialRoots` was given; nil for secrets of other kinds.
    package static func credential(ofReference reference: String) -> (name: String, isRoots: Bool)? {
        guard reference.hasPrefix(credentialPrefix) else { return nil }
        let name = reference.dropFirst(credentialPrefix.count)
        let isRoots = name.hasSuffix(rootsSuffix)
        return (String(isRoots ? name.dropLast(rootsSuffix.count) : name), isRoots)
    }

    private static let credentialPrefix = "kubernetes://"
    private static let rootsSuffix = "-cacert"
}

extension ProxyConfiguration {
    /// The secret called `name`.
    package func secret(named name: String) -> ProxySecret? { secrets?.first { $0.name == name } }

    /// Names of all secrets that listeners and clusters refer to.
    package var referencedSecrets: Set<String> {
        var names: Set<String> = []
        for listener in listeners {
            for chain in listener.filterChains + (listener.defaultFilterChain.map { [$0] } ?? []) {
                guard let context = chain.transportSocket else { continue }
                names.insert(context.tlsCertificate)
                if let roots = context.validation?.trustedCA { names.insert(roots) }
            }
        }
        for cluster in clusters {
            for case let context? in [cluster.transportSocket] + (cluster.transportSocketMatches ?? []).map(\.context) {
                if let certificate = context.tlsCertificate { names.insert(certificate) }
                if let roots = context.validation?.trustedCA { names.insert(roots) }
            }
        }
        return names
    }
}
