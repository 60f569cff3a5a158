import Manifests
import NetworkAddresses

/// One host of the service registry, whether a Kubernetes Service or a ServiceEntry declares it.
struct RegistryService {
    /// Where connections to the service go (outbound.md §6).
    enum Resolution {
        /// A ClusterIP Service: the pods behind it.
        case kubernetes
        /// A Service without ClusterIP: the pod that the client dialled.
        case headless
        /// Whatever address the client dialled.
        case passthrough
        case fixed
        case dns
        case dnsRoundRobin
        /// The address of the name that the client's Host or SNI gives.
        case dynamicDNS
    }

    struct Endpoint: Equatable {
        /// An IP address, or a name.
        var host: String
        var port: UInt16
        var weight = 1
        var labels: [String: String] = [:]
        /// Expects mutual TLS: a pod with a sidecar, or what a ServiceEntry says is one.
        var speaksMutualTLS = false
    }

    struct Port {
        var number: UInt16
        var name: String
        var `protocol`: PortProtocol
        /// ORIGINAL_DST and DNS: the port to connect to, where it differs from `number`.
        var targetPort: UInt16?
        var endpoints: [Endpoint]
        var origin: Origin
    }

    /// Lower case; may be a wildcard.
    var hostname: String
    /// The Service's or ServiceEntry's own name.
    var name: String
    var namespace: String
    var exportTo: [String]
    /// ClusterIPs, or a ServiceEntry's addresses and blocks.
    var addresses: [IPPrefix]
    /// A ServiceEntry's without addresses: what the control plane gave the host, of use with DNS capture.
    var allocatedAddresses: [IPAddress] = []
    var ports: [Port]
    var resolution: Resolution
    var isKubernetes: Bool
    /// `MESH_EXTERNAL`.
    var isExternal: Bool
    /// ExternalName Services that point here.
    var aliases: [KubernetesName] = []
    /// SPIFFE identities of the workloads behind it.
    var identities: [String] = []
    /// What a ServiceEntry says that certificates of the destination are valid for.
    var subjectAltNames: [String] = []
    /// nil: whoever `exportTo` means.
    var audience: WorkloadAudience?
    var origin: Origin

    func port(_ number: UInt16) -> Port? { ports.first { $0.number == number } }

    /// True when workloads of `client` with these labels get to see it.
    func isVisible(from client: String, labels: [String: String]) -> Bool {
        ExportTo(exportTo, namespace: namespace).includes(client)
            && audience?.includes(namespace: client, labels: labels) != false
    }
}

/// A Kubernetes Service's name in its namespace.
struct KubernetesName: Hashable {
    var name: String
    var namespace: String
}

/// Who may see a resource: `*`, `.`, `~`, or namespaces by name.
struct ExportTo {
    private let values: [String]
    private let namespace: String

    init(_ values: [String], namespace: String) {
        self.values = values.isEmpty ? ["*"] : values
        self.namespace = namespace
    }

    func includes(_ client: String) -> Bool {
        guard !values.contains("~") else { return false }
        return values.contains { $0 == "*" || $0 == client || ($0 == "." && client == namespace) }
    }

    /// Seen by its own namespace only.
    var isPrivate: Bool { values.allSatisfy { $0 == "." || $0 == namespace } }
}
