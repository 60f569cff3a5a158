package import Manifests
package import NetworkAddresses

/// The cluster as it runs: which pods and Services exist, with which addresses. No rules and no proxies yet.
package struct Cluster: Sendable {
    /// In a stable order, never empty; the first is the one that a lab without a word about nodes has.
    package var nodes: [ClusterNode]
    package var pods: [ClusterPod]
    package var services: [ClusterService]
    /// What the control plane gave hosts that have no address of their own.
    package var allocatedAddresses: [AllocatedHost: [IPAddress]] = [:]
    package var namespaces: [String: [String: String]]
    package var mesh: MeshConfig
    package var compatibility: Scenario.Compatibility

    package init(
        nodes: [ClusterNode] = [.only], pods: [ClusterPod] = [], services: [ClusterService] = [],
        namespaces: [String: [String: String]] = [:],
        mesh: MeshConfig = MeshConfig(), compatibility: Scenario.Compatibility = .current
    ) {
        self.nodes = nodes
        self.pods = pods
        self.services = services
        self.namespaces = namespaces
        self.mesh = mesh
        self.compatibility = compatibility
    }

    /// Istio's root namespace.
    package var rootNamespace: String { mesh.rootNamespace ?? "istio-system" }
    package var trustDomain: String { mesh.trustDomain ?? "cluster.local" }
}

/// Names a pod.
package struct PodID: Hashable, Sendable, Comparable, CustomStringConvertible {
    package var namespace: String
    package var name: String

    package init(namespace: String, name: String) {
        self.namespace = namespace
        self.name = name
    }

    package var description: String { "\(namespace)/\(name)" }
    package static func < (a: PodID, b: PodID) -> Bool { (a.namespace, a.name) < (b.namespace, b.name) }
}

/// A pod that runs.
package struct ClusterPod: Sendable {
    package var id: PodID
    /// The workload's name (a Deployment's, not its ReplicaSet's), or the pod's own.
    package var workload: String
    package var workloadKind: String
    /// Position in the lab; never reused. Names the node's interface and the addresses.
    package var index: Int
    /// Grows each time that the pod starts anew: a restart, or a changed template.
    package var generation: Int
    /// IPv4 first unless the manifest says otherwise; IPv6 missing where the pod turned it off.
    package var addresses: [IPAddress]
    package var labels: [String: String]
    package var annotations: [String: Located<String>]
    package var spec: PodSpec
    /// The node's name. Fixed when the pod starts.
    package var node: String
    /// nil: no sidecar. Fixed when the pod starts.
    package var capture: CaptureSettings?
    /// True for a gateway: its proxy listens itself, nothing is captured.
    package var isRouter: Bool
    /// nil: what the mesh says. Fixed when the pod starts.
    package var proxySettings: ProxySettings?
    /// Services lead to no pod that is not ready.
    package var isReady: Bool
    package var origin: Origin

    package init(
        id: PodID, workload: String, workloadKind: String, index: Int, generation: Int, addresses: [IPAddress],
        labels: [String: String], annotations: [String: Located<String>], spec: PodSpec, node: String,
        capture: CaptureSettings? = nil, isRouter: Bool = false, proxySettings: ProxySettings? = nil,
        isReady: Bool = true, origin: Origin
    ) {
        self.id = id
        self.workload = workload
        self.workloadKind = workloadKind
        self.index = index
        self.generation = generation
        self.addresses = addresses
        self.labels = labels
        self.annotations = annotations
        self.spec = spec
        self.node = node
        self.capture = capture
        self.isRouter = isRouter
        self.proxySettings = proxySettings
        self.isReady = isReady
        self.origin = origin
    }

    package var hasSidecar: Bool { capture != nil }

    /// True for what the lab brings itself, where the manifests have none of it.
    package var isBuiltIn: Bool { origin.location.file == PodTemplates.builtInFile }
}

/// A Kubernetes Service with its addresses and the pods behind it.
package struct ClusterService: Sendable {
    package struct Port: Sendable, Equatable {
        package var port: Service.Port
        /// Address and target port of each ready pod, of the Service's families.
        package var endpoints: [IPEndpoint]
        /// Where it is open on every node.
        package var nodePort: UInt16?

        package init(port: Service.Port, endpoints: [IPEndpoint], nodePort: UInt16? = nil) {
            self.port = port
            self.endpoints = endpoints
            self.nodePort = nodePort
        }
    }

    package var service: Service
    /// `NAME.NAMESPACE.svc.cluster.local`.
    package var hostname: String
    /// Empty for a headless Service.
    package var clusterIPs: [IPAddress]
    package var ports: [Port]
    /// The pods that it selects, ready or not.
    package var pods: [PodID]
    /// What the name of a headless Service stands for: its endpoints that are ready.
    package var addresses: [IPAddress]
    /// The endpoints that have names of their own below that of a headless Service, in lower case.
    package var hosts: [String: [IPAddress]]
    /// Addresses outside the cluster that lead to it: a load balancer's.
    package var loadBalancerIPs: [IPAddress]

    package init(
        service: Service, hostname: String, clusterIPs: [IPAddress], ports: [Port], pods: [PodID],
        addresses: [IPAddress] = [], hosts: [String: [IPAddress]] = [:], loadBalancerIPs: [IPAddress] = []
    ) {
        self.service = service
        self.hostname = hostname
        self.clusterIPs = clusterIPs
        self.ports = ports
        self.pods = pods
        self.addresses = addresses
        self.hosts = hosts
        self.loadBalancerIPs = loadBalancerIPs
    }
}
