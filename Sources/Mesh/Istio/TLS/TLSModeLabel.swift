/// The label by which endpoints say that they expect mutual TLS; injection gives it to pods with a sidecar.
enum TLSModeLabel {
    static let name = "security.istio.io/tlsMode"
    static let mutual = "istio"
}

extension ClusterPod {
    /// Whether the mesh's clients speak mutual TLS to the pod; gateways say so only by a label of their own.
    var speaksMutualTLS: Bool {
        labels[TLSModeLabel.name].map { $0 == TLSModeLabel.mutual } ?? hasSidecar
    }
}
