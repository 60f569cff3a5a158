/// Names of secrets that are files in the proxy's container, as Istio gives them.
enum FileSecret {
    static func name(certificate: String, key: String) -> String { "file-cert:\(certificate)~\(key)" }
    static func name(roots: String) -> String { "file-root:\(roots)" }
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
