import Manifests

/// Decides which pods get a sidecar, as Istio's webhooks and their template do for one revision.
struct Injection {
    enum Decision: Equatable {
        case sidecar
        /// A gateway: a proxy that listens itself.
        case router
        case none
        /// The pod asks for a sidecar, but its namespace is not one that Istio's webhook is called for.
        case ineffectiveAnnotation
    }

    static let proxyContainer = "istio-proxy"
    private static let injectKey = "sidecar.istio.io/inject"
    private static let revisionKey = "istio.io/rev"
    private static let namespaceKey = "istio-injection"
    /// Namespaces that Istio never injects into.
    private static let ignoredNamespaces: Set<String> = [
        "kube-system", "kube-public", "kube-node-lease", "local-path-storage",
    ]

    let mesh: MeshConfig
    /// Labels of each namespace.
    let namespaces: [String: [String: String]]

    func decide(
        namespace: String, labels: [String: String], annotations: [String: Located<String>], spec: PodSpec
    ) -> Decision {
        if spec.hostNetwork { return .none }
        if let proxy = (spec.initContainers + spec.containers).first(where: { $0.name == Self.proxyContainer }) {
            // A live pod's dump holds the sidecar already; a gateway's proxy is started as a router.
            let isGateway = (proxy.command + proxy.arguments).contains("router") || isGatewayTemplate(annotations)
            return isGateway ? .router : .sidecar
        }
        if isGatewayTemplate(annotations) || Self.isGatewayChart(labels) { return .router }
        if Self.ignoredNamespaces.contains(namespace) { return .none }
        let asked = labels[Self.injectKey] ?? annotations[Self.injectKey]?.value
        guard isWebhookCalled(namespace: namespace, labels: labels) else {
            let isTrue = labels[Self.injectKey] == nil && asked.map(Self.isYes) == true
            return isTrue ? .ineffectiveAnnotation : .none
        }
        guard let asked, !asked.isEmpty else { return .sidecar }
        return Self.isYes(asked) ? .sidecar : .none
    }

    private func isGatewayTemplate(_ annotations: [String: Located<String>]) -> Bool {
        annotations["inject.istio.io/templates"]?.value.split(separator: ",").contains("gateway") ?? false
    }

    /// The labels that Istio's charts give gateways: `app: istio-egressgateway`, `istio: egressgateway`.
    private static func isGatewayChart(_ labels: [String: String]) -> Bool {
        guard let name = labels["istio"], name.hasPrefix("ingressgateway") || name.hasPrefix("egressgateway") else {
            return false
        }
        return labels["app"] == "istio-\(name)"
    }

    /// The selectors of Istio's webhooks: `namespace`, `rev.namespace`, `object`, `rev.object` and `auto`.
    private func isWebhookCalled(namespace: String, labels: [String: String]) -> Bool {
        let own = namespaces[namespace] ?? [:]
        if labels[Self.injectKey] == "false" { return false }
        if let injection = own[Self.namespaceKey] { return injection == "enabled" }
        if own[Self.revisionKey] != nil { return true }
        if labels[Self.injectKey] == "true" || labels[Self.revisionKey] != nil { return true }
        return mesh.enableNamespacesByDefault == true && labels[Self.injectKey] == nil
    }

    private static func isYes(_ text: String) -> Bool { ["y", "yes", "true", "on"].contains(text.lowercased()) }
}
