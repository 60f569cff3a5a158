import Manifests
import NetworkAddresses

/// What makes a pod start anew when it changes, without the places where it was written.
struct PodTemplate: Sendable, Equatable {
    var labels: [String: String]
    var annotations: [String: String]
    var spec: PodSpec

    init(labels: [String: String], annotations: [String: Located<String>], spec: PodSpec) {
        self.labels = labels
        self.annotations = annotations.mapValues(\.value)
        self.spec = spec
        for position in spec.containers.indices { self.spec.containers[position].location = Self.nowhere }
        for position in spec.initContainers.indices { self.spec.initContainers[position].location = Self.nowhere }
    }

    private static let nowhere = SourceLocation(file: "")

    /// Labels and annotations of a bare pod can be changed while it runs; a workload replaces its pods.
    func needsNewPod(_ other: PodTemplate, _ isBare: Bool) -> Bool { isBare ? spec != other.spec : self != other }
}

/// The pods that the resources ask for, with stable names, in a stable order.
struct PodTemplates {
    struct Entry {
        var id: PodID
        var workload: String
        var workloadKind: String
        /// True for a `Pod` of its own.
        var isBare: Bool
        /// Which of several objects of that name, one after the other, made the pod.
        var incarnation: Int
        var template: PodTemplate
        var annotations: [String: Located<String>]
        var spec: PodSpec
        /// `status.podIPs`.
        var addresses: [IPAddress]
        var isReady = true
        var origin: Origin
    }

    private(set) var all: [Entry] = []
    private var names: Set<PodID> = []
    private let resources: ResourceSet
    private let nodes: [ClusterNode]

    /// The file of what the lab brings itself.
    static let builtInFile = "built-in"
    static let dnsLabel = (key: "k8s-app", value: "kube-dns")
    static let dnsID = PodID(namespace: "kube-system", name: "kube-dns")

    init(_ resources: ResourceSet, nodes: [ClusterNode] = [.only]) {
        self.resources = resources
        self.nodes = nodes
        let allPods = resources.resources(Pod.self)
        let pods = allPods.filter(\.isRunning)
        let workloads = Self.making(resources.resources(Workload.self), pods: allPods)
        let metadata =
            pods.map(\.metadata)
            + workloads.map { workload in
                var metadata = workload.template.metadata
                metadata.namespace = workload.metadata.namespace
                return metadata
            }
        if !metadata.contains(where: { Self.isDNS(namespace: $0.namespace, labels: $0.labels) }) { addDNS() }
        // Bare pods come first, so that no replica takes a name that a manifest gives.
        for pod in pods { add(pod) }
        for workload in workloads { add(workload) }
    }

    /// The workloads whose pods the lab has to make: a dump of a live cluster may hold what they made, pods or other
    /// workloads, and that counts instead.
    private static func making(_ workloads: [Workload], pods: [Pod]) -> [Workload] {
        var made: Set<ResourceID> = []
        for pod in pods {
            let makers = [pod.maker, pod.metadata.controller].compactMap(\.self)
            // The time of a CronJob comes again, whatever became of its last pods.
            for maker in makers where pod.isRunning || maker.kind != Workload.Kind.cronJob.rawValue {
                made.insert(ResourceID(kind: maker.kind, namespace: pod.metadata.namespace, name: maker.name))
            }
        }
        let present = Set(workloads.map(\.id))
        return workloads.filter { workload in
            let owner = workload.metadata.controller.map {
                ResourceID(kind: $0.kind, namespace: workload.metadata.namespace, name: $0.name)
            }
            return !made.contains(workload.id) && !(owner.map { present.contains($0) || made.contains($0) } ?? false)
        }
    }

    static func isDNS(namespace: String, labels: [String: String]) -> Bool {
        namespace == dnsID.namespace && labels[dnsLabel.key] == dnsLabel.value
    }

    /// The cluster's own DNS server, where the manifests bring none.
    private mutating func addDNS() {
        let location = SourceLocation(file: Self.builtInFile)
        let container = Container(
            name: "dns",
            ports: [
                Container.Port(name: "dns", number: 53, transport: .udp),
                Container.Port(name: "dns-tcp", number: 53, transport: .tcp),
            ], location: location)
        add(
            Pod(
                metadata: ObjectMeta(
                    name: Self.dnsID.name, namespace: Self.dnsID.namespace,
                    labels: [Self.dnsLabel.key: Self.dnsLabel.value], location: location),
                // It must run whatever nodes there are.
                spec: PodSpec(containers: [container], tolerations: [Toleration()])))
    }

    private mutating func add(_ pod: Pod) {
        let id = PodID(namespace: pod.metadata.namespace, name: pod.metadata.name)
        let maker = pod.maker
        names.insert(id)
        all.append(
            Entry(
                id: id, workload: maker?.name ?? id.name, workloadKind: maker?.kind ?? Pod.kind, isBare: true,
                incarnation: resources.incarnation(of: pod.id),
                template: PodTemplate(
                    labels: pod.metadata.labels, annotations: pod.metadata.annotations, spec: pod.spec),
                annotations: pod.metadata.annotations, spec: pod.spec, addresses: pod.addresses,
                isReady: pod.isReady && !pod.metadata.isTerminating, origin: pod.origin()))
    }

    private mutating func add(_ workload: Workload) {
        // A ReplicaSet or a Job whose maker is not in the dump goes by that one's name.
        let maker = workload.metadata.controller
        let (kind, name) = (workload.workloadKind, maker?.name ?? workload.metadata.name)
        let metadata = workload.template.metadata
        let shared = PodTemplate(
            labels: metadata.labels, annotations: metadata.annotations, spec: workload.template.spec)
        // A DaemonSet has a pod on each node that takes it.
        let places = kind == .daemonSet ? nodes.indices.filter { nodes[$0].takes(workload.template.spec) } : []
        for number in kind == .daemonSet ? places : Array(0..<workload.replicas) {
            let ordinal = kind == .statefulSet ? workload.firstOrdinal + number : number + 1
            var id = PodID(
                namespace: workload.metadata.namespace, name: "\(workload.metadata.name)-\(ordinal)")
            // Workloads of different kinds may have one name.
            while !names.insert(id).inserted { id.name += "x" }
            var template = shared
            var spec = workload.template.spec
            switch kind {
            case .statefulSet:
                template.labels["statefulset.kubernetes.io/pod-name"] = id.name
                template.labels["apps.kubernetes.io/pod-index"] = String(ordinal)
                spec.hostname = id.name
            case .job, .cronJob:
                template.labels["job-name"] = name
                template.labels["batch.kubernetes.io/job-name"] = name
            case .daemonSet: if nodes.count > 1 { spec.nodeName = nodes[number].name }
            case .deployment, .replicaSet, .replicationController: break
            }
            all.append(
                Entry(
                    id: id, workload: name, workloadKind: maker?.kind ?? kind.rawValue, isBare: false,
                    incarnation: resources.incarnation(of: workload.id), template: template,
                    annotations: metadata.annotations, spec: spec, addresses: [], origin: workload.origin()))
        }
    }
}
