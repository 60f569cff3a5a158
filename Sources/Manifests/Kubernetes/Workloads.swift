package import NetworkAddresses

/// `v1/Namespace`. Every namespace has the label `kubernetes.io/metadata.name`, which the reader adds.
package struct Namespace: Resource, Equatable {
    package static let kind = "Namespace"
    package static let isClusterScoped = true
    package var metadata: ObjectMeta

    package init(metadata: ObjectMeta) { self.metadata = metadata }
}

/// `v1/ServiceAccount`.
package struct ServiceAccount: Resource, Equatable {
    package static let kind = "ServiceAccount"
    package var metadata: ObjectMeta

    package init(metadata: ObjectMeta) { self.metadata = metadata }
}

/// `v1/Pod`, or a pod template of a workload.
package struct Pod: Resource, Equatable {
    package static let kind = "Pod"
    package var metadata: ObjectMeta
    package var spec: PodSpec
    /// `status.podIPs`, where a dump of a live cluster gives them.
    package var addresses: [IPAddress]
    /// `status.hostIPs`: the addresses of the node it runs on.
    package var hostAddresses: [IPAddress]
    /// `status.phase`; nil: it is the lab that runs it.
    package var phase: Phase?
    /// Its Ready condition; a Service leads to no pod that is not ready.
    package var isReady: Bool

    /// How far a pod of a live cluster is.
    package enum Phase: String, Sendable, CaseIterable {
        case pending = "Pending"
        case running = "Running"
        case succeeded = "Succeeded"
        case failed = "Failed"
        case unknown = "Unknown"
    }

    package init(
        metadata: ObjectMeta, spec: PodSpec, addresses: [IPAddress] = [], hostAddresses: [IPAddress] = [],
        phase: Phase? = nil, isReady: Bool = true
    ) {
        self.metadata = metadata
        self.spec = spec
        self.addresses = addresses
        self.hostAddresses = hostAddresses
        self.phase = phase
        self.isReady = isReady
    }

    /// False for pods that have ended and for those that wait for a node: they have no network.
    package var isRunning: Bool {
        switch phase {
        case .succeeded, .failed: false
        case .pending: !addresses.isEmpty
        case .running, .unknown, nil: true
        }
    }

    /// The workload that made the pod, by what the pod itself says; nil for one that nobody made.
    ///
    /// A Deployment's pods are made by a ReplicaSet whose name ends in the hash that is also a label of them, and a
    /// CronJob's by a Job whose name ends in its time.
    package var maker: Controller? {
        guard let controller = metadata.controller else { return nil }
        switch controller.kind {
        case "ReplicaSet":
            guard let hash = metadata.labels["pod-template-hash"], controller.name.hasSuffix("-\(hash)") else {
                return controller
            }
            return Controller(
                kind: Workload.Kind.deployment.rawValue, name: String(controller.name.dropLast(hash.count + 1)))
        case "Job":
            let parts = controller.name.split(separator: "-")
            guard parts.count > 1, let time = parts.last, time.count >= 8, time.allSatisfy(\.isNumber) else {
                return controller
            }
            return Controller(
                kind: Workload.Kind.cronJob.rawValue, name: String(controller.name.dropLast(time.count + 1)))
        case let kind where Workload.Kind(rawValue: kind) != nil: return controller
        // The kubelet owns static pods; other kinds mean nothing here.
        default: return nil
        }
    }
}

/// The parts of a pod's specification that its network depends on.
package struct PodSpec: Sendable, Equatable {
    package var containers: [Container]
    package var initContainers: [Container]
    package var serviceAccountName: String
    package var nodeName: String?
    /// Labels that the node must have.
    package var nodeSelector: [String: String]
    /// The terms that `affinity` requires of the node, one of which must hold; empty: any node will do.
    package var nodeTerms: [NodeTerm]
    /// Which nodes' taints do not keep the pod away.
    package var tolerations: [Toleration]
    package var hostNetwork: Bool
    package var hostname: String?
    /// The headless Service under which the pod's host name is known.
    package var subdomain: String?
    /// `securityContext.runAsUser` and `runAsGroup` of the pod.
    package var runAsUser: UInt32?
    package var runAsGroup: UInt32?
    /// `securityContext.sysctls`; `net.ipv6.conf.all.disable_ipv6: "1"` makes the pod IPv4-only.
    package var sysctls: [String: String]
    package var volumes: [Volume]

    package init(
        containers: [Container], initContainers: [Container] = [], serviceAccountName: String = "default",
        nodeName: String? = nil, hostNetwork: Bool = false, hostname: String? = nil, runAsUser: UInt32? = nil,
        runAsGroup: UInt32? = nil, sysctls: [String: String] = [:], nodeSelector: [String: String] = [:],
        nodeTerms: [NodeTerm] = [], tolerations: [Toleration] = [], volumes: [Volume] = [], subdomain: String? = nil
    ) {
        self.subdomain = subdomain
        self.containers = containers
        self.initContainers = initContainers
        self.serviceAccountName = serviceAccountName
        self.nodeName = nodeName
        self.hostNetwork = hostNetwork
        self.hostname = hostname
        self.runAsUser = runAsUser
        self.runAsGroup = runAsGroup
        self.sysctls = sysctls
        self.nodeSelector = nodeSelector
        self.nodeTerms = nodeTerms
        self.tolerations = tolerations
        self.volumes = volumes
    }
}

/// A container of a pod.
package struct Container: Sendable, Equatable {
    package struct Port: Sendable, Equatable {
        package var name: String?
        package var number: UInt16
        package var transport: IPProtocol
        /// The port of its node that the container claims.
        package var hostPort: UInt16?
        /// The node's address that it claims the port of; nil: all.
        package var hostIP: IPAddress?

        package init(name: String? = nil, number: UInt16, transport: IPProtocol = .tcp) {
            self.name = name
            self.number = number
            self.transport = transport
        }
    }

    package var name: String
    package var image: String
    package var command: [String]
    package var arguments: [String]
    package var ports: [Port]
    package var environment: [String: String]
    package var runAsUser: UInt32?
    package var runAsGroup: UInt32?
    /// `securityContext.capabilities.add`, without the `CAP_` prefix.
    package var addedCapabilities: [String]
    /// `restartPolicy: Always` on an init container: a native sidecar.
    package var isNativeSidecar: Bool
    package var volumeMounts: [VolumeMount]
    package var workingDirectory: String?
    package var probes = ContainerProbes()
    package var location: SourceLocation

    package init(
        name: String, image: String = "", command: [String] = [], arguments: [String] = [], ports: [Port] = [],
        environment: [String: String] = [:], runAsUser: UInt32? = nil, runAsGroup: UInt32? = nil,
        addedCapabilities: [String] = [], isNativeSidecar: Bool = false, volumeMounts: [VolumeMount] = [],
        workingDirectory: String? = nil, location: SourceLocation
    ) {
        self.name = name
        self.image = image
        self.command = command
        self.arguments = arguments
        self.ports = ports
        self.environment = environment
        self.runAsUser = runAsUser
        self.runAsGroup = runAsGroup
        self.addedCapabilities = addedCapabilities
        self.isNativeSidecar = isNativeSidecar
        self.volumeMounts = volumeMounts
        self.workingDirectory = workingDirectory
        self.location = location
    }
}

/// `apps/v1` and `batch/v1` kinds that make pods: one type, told apart by their kind.
package struct Workload: Resource, Equatable {
    package enum Kind: String, Sendable, CaseIterable {
        case deployment = "Deployment"
        case replicaSet = "ReplicaSet"
        case statefulSet = "StatefulSet"
        case daemonSet = "DaemonSet"
        case job = "Job"
        case cronJob = "CronJob"
        case replicationController = "ReplicationController"
    }

    /// Not the manifest's word: `workloadKind` has that.
    package static let kind = "Workload"
    package var workloadKind: Kind
    package var metadata: ObjectMeta
    package var replicas: Int
    package var selector: LabelSelector
    /// The number of a StatefulSet's first pod.
    package var firstOrdinal: Int
    /// Labels and annotations of the pods; its name is ignored.
    package var template: Pod

    package init(
        workloadKind: Kind, metadata: ObjectMeta, replicas: Int = 1, selector: LabelSelector = LabelSelector(),
        firstOrdinal: Int = 0, template: Pod
    ) {
        self.firstOrdinal = firstOrdinal
        self.workloadKind = workloadKind
        self.metadata = metadata
        self.replicas = replicas
        self.selector = selector
        self.template = template
    }

    package var id: ResourceID {
        ResourceID(kind: workloadKind.rawValue, namespace: metadata.namespace, name: metadata.name)
    }
}
