/// A kind that is understood: where it is served and how it is read.
struct ResourceKind: Sendable {
    let kind: String
    let group: String
    let versions: [String]
    /// Versions that are no longer served, as `group/version`; read all the same, with a warning.
    let retired: [String]
    let isClusterScoped: Bool
    /// The name of an object that says none, where that is allowed.
    let defaultName: String?
    /// kubectl's abbreviation.
    let shortName: String?
    /// How bad a field is that the kind does not have: an error where a cluster without it would do something else.
    let unknownField: Diagnostic.Severity
    let read: @Sendable (ObjectReader) -> (any Resource)?

    init(
        _ kind: String, _ group: String, _ versions: [String], retired: [String] = [], isClusterScoped: Bool = false,
        defaultName: String? = nil, shortName: String? = nil, unknownField: Diagnostic.Severity = .warning,
        read: @escaping @Sendable (ObjectReader) -> (any Resource)?
    ) {
        self.kind = kind
        self.group = group
        self.versions = versions
        self.retired = retired
        self.isClusterScoped = isClusterScoped
        self.defaultName = defaultName
        self.shortName = shortName
        self.unknownField = unknownField
        self.read = read
    }

    var apiVersions: [String] { versions.map { group.isEmpty ? $0 : "\(group)/\($0)" } }
}

/// The one list of the kinds that are understood. To add one, write its type and its reading, and a line here.
enum ResourceKinds {
    private static let istio = ["v1", "v1beta1", "v1alpha3"]

    static let all: [ResourceKind] = [
        ResourceKind("Namespace", "", ["v1"], isClusterScoped: true) { Namespace(reading: $0) },
        ResourceKind("ServiceAccount", "", ["v1"]) { ServiceAccount(reading: $0) },
        ResourceKind("ConfigMap", "", ["v1"]) { ConfigMap(reading: $0) },
        ResourceKind("Secret", "", ["v1"]) { Secret(reading: $0) },
        ResourceKind("Node", "", ["v1"], isClusterScoped: true) { Node(reading: $0) },
        ResourceKind("Service", "", ["v1"]) { Service(reading: $0) },
        ResourceKind("Pod", "", ["v1"]) { Pod(reading: $0) },
        ResourceKind("Telemetry", "telemetry.istio.io", ["v1", "v1alpha1"]) { Telemetry(reading: $0) },
        ResourceKind(
            "Deployment", "apps", ["v1"], retired: ["extensions/v1beta1", "apps/v1beta1", "apps/v1beta2"]
        ) { Workload(reading: $0, as: .deployment) },
        ResourceKind("ReplicaSet", "apps", ["v1"], retired: ["extensions/v1beta1", "apps/v1beta2"]) {
            Workload(reading: $0, as: .replicaSet)
        },
        ResourceKind("StatefulSet", "apps", ["v1"], retired: ["apps/v1beta1", "apps/v1beta2"]) {
            Workload(reading: $0, as: .statefulSet)
        },
        ResourceKind("DaemonSet", "apps", ["v1"], retired: ["extensions/v1beta1", "apps/v1beta2"]) {
            Workload(reading: $0, as: .daemonSet)
        },
        ResourceKind("ReplicationController", "", ["v1"]) { Workload(reading: $0, as: .replicationController) },
        ResourceKind("Job", "batch", ["v1"]) { Workload(reading: $0, as: .job) },
        ResourceKind("CronJob", "batch", ["v1"], retired: ["batch/v1beta1"]) { Workload(readingCronJob: $0) },
        ResourceKind("EndpointSlice", "discovery.k8s.io", ["v1"], retired: ["discovery.k8s.io/v1beta1"]) {
            EndpointSlice(reading: $0)
        },
        ResourceKind("Endpoints", "", ["v1"]) { EndpointSlice.reading(older: $0) },
        ResourceKind("NetworkPolicy", "networking.k8s.io", ["v1"], retired: ["extensions/v1beta1"]) {
            NetworkPolicy(reading: $0)
        },
        clusterPolicy(.admin, "v1alpha1", "anp"), clusterPolicy(.baseline, "v1alpha1", "banp"),
        clusterPolicy(.cluster, "v1alpha2", "cnp"),
        // `istioctl install -f` takes it without metadata, and that is how it is usually written.
        ResourceKind("IstioOperator", "install.istio.io", ["v1alpha1"], defaultName: "installed-state") {
            IstioOperator(reading: $0)
        },
        ResourceKind("ServiceEntry", "networking.istio.io", istio) { ServiceEntry(reading: $0) },
        ResourceKind("VirtualService", "networking.istio.io", istio) { VirtualService(reading: $0) },
        ResourceKind("DestinationRule", "networking.istio.io", istio) { DestinationRule(reading: $0) },
        ResourceKind("Sidecar", "networking.istio.io", istio) { Sidecar(reading: $0) },
        ResourceKind("Gateway", "networking.istio.io", istio) { Gateway(reading: $0) },
        ResourceKind("ProxyConfig", "networking.istio.io", ["v1beta1"]) { ProxyConfig(reading: $0) },
        ResourceKind("WorkloadEntry", "networking.istio.io", istio) { WorkloadEntry(reading: $0) },
        ResourceKind("PeerAuthentication", "security.istio.io", ["v1", "v1beta1"]) { PeerAuthentication(reading: $0) },
        ResourceKind("AuthorizationPolicy", "security.istio.io", ["v1", "v1beta1"]) {
            AuthorizationPolicy(reading: $0)
        },
        ResourceKind("ASMEgressTrafficPolicy", "istio.alibabacloud.com", ["v1", "v1beta1"]) {
            ASMEgressTrafficPolicy(reading: $0)
        },
    ]

    private static func clusterPolicy(
        _ kind: ClusterPolicy.Kind, _ version: String, _ shortName: String
    ) -> ResourceKind {
        ResourceKind(
            kind.rawValue, "policy.networking.k8s.io", [version], isClusterScoped: true, shortName: shortName,
            unknownField: .error
        ) { ClusterPolicy(reading: $0, as: kind) }
    }

    /// Kinds by name: their groups tell those with the same name apart.
    static let byName: [String: ResourceKind] = Dictionary(all.map { ($0.kind, $0) }) { first, _ in first }

    /// The kind that kubectl means by a name: any case, singular or plural.
    static func named(_ name: String) -> ResourceKind? {
        if let kind = byName[name] { return kind }
        let name = name.lowercased()
        return all.first { kind in
            let singular = kind.kind.lowercased()
            let plural = singular.hasSuffix("y") ? singular.dropLast() + "ies" : singular + "s"
            return name == singular || name == plural || name == kind.shortName
        }
    }
}

/// Kinds that are known, but not read.
enum UnreadKinds {
    /// Ignoring these would give wrong verdicts, so they are refused.
    static let consequential: Set<String> = [
        "CiliumClusterwideNetworkPolicy", "CiliumEgressGatewayPolicy", "CiliumNetworkPolicy", "EgressFirewall",
        "EgressNetworkPolicy", "EnvoyFilter",
        // Istio's own Gateway is read; this is the one of the Gateway API.
        "FQDNNetworkPolicy", "Gateway", "GlobalNetworkPolicy", "GlobalNetworkSet", "GRPCRoute", "HTTPRoute",
        "IstioControlPlane", "NetworkPolicy", "NetworkSet",
        "RequestAuthentication", "SecurityGroupPolicy", "TCPRoute", "TLSRoute", "WasmPlugin",
        "WorkloadGroup",
    ]

    /// These change nothing about who may reach what here.
    static let harmless: Set<String> = [
        "APIService", "CertificateSigningRequest", "ClusterRole", "ClusterRoleBinding", "ComponentStatus",
        "ControllerRevision", "CSIDriver", "CSINode", "CustomResourceDefinition", "Event", "FlowSchema",
        "GatewayClass", "HorizontalPodAutoscaler", "IngressClass", "Lease", "LimitRange",
        "MutatingWebhookConfiguration", "PersistentVolume", "PersistentVolumeClaim", "PodDisruptionBudget",
        "PodMonitor", "PodSecurityPolicy", "PodTemplate", "PriorityClass", "PriorityLevelConfiguration",
        "ResourceQuota", "Role", "RoleBinding", "RuntimeClass", "ServiceMonitor", "StorageClass",
        "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ValidatingWebhookConfiguration",
        "VerticalPodAutoscaler", "VolumeAttachment",
    ]

    /// Kinds that are left out with a word on what is missing then.
    static let warned: [String: String] = [
        "Ingress": "nothing enters the cluster from outside through it"
    ]
}
