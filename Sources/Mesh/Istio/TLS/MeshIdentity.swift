import ProxyModel

/// Names of secrets that are files in the proxy's container, as Istio gives them.
enum FileSecret {
    static func name(certificate: String, key: String) -> String { "file-cert:\(certificate)~\(key)" }

    /// What every machine trusts, by Istio's word for it or by the file in the proxy's own image, stays the machine's.
    static func name(roots: String) -> String {
        roots == "system" || roots == imageBundle ? ProxySecret.systemRoots : "file-root:\(roots)"
    }

    private static let imageBundle = "/etc/ssl/certs/ca-certificates.crt"

    /// The files behind a secret's name; nil where it is no such secret.
    static func files(of name: String) -> [String]? {
        if name == ProxySecret.systemRoots { return nil }
        if name.hasPrefix("file-root:") { return [String(name.dropFirst("file-root:".count))] }
        guard name.hasPrefix("file-cert:") else { return nil }
        let parts = name.dropFirst("file-cert:".count).split(separator: "~", omittingEmptySubsequences: false)
        return parts.map(String.init)
    }
}

/// SPIFFE identities of workloads (gateway.md §5).
enum SPIFFE {
    static func identity(trustDomain: String, namespace: String, serviceAccount: String) -> String {
        "spiffe://\(trustDomain)/ns/\(namespace)/sa/\(serviceAccount)"
    }
}

/// ALPN by which the sidecars and gateways of a mesh know each other.
enum MeshALPN {
    static let tcp = ["istio-peer-exchange", "istio"]
    static let http1 = ["istio-http/1.1", "istio", "http/1.1"]
    static let http2 = ["istio-h2", "istio", "h2"]
    /// What tells a connection from inside the mesh, for a server that takes plaintext, too.
    static let all = ["istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"]
    static let allHTTP = ["istio-http/1.0", "istio-http/1.1", "istio-h2"]
    static let web = ["h2", "http/1.1"]
}
