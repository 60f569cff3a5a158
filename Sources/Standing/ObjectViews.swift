import Foundation
import Manifests
import Mesh
import NetworkAddresses

/// An object as `get` shows it.
struct ObjectView: Sendable {
    var kind: KindName
    var namespace: String
    var name: String
    var labels: [String: String]
    /// The whole object, as far as the lab knows it.
    var document: ManifestNode
    var created: Date
    /// Values of the table's columns between the name and the age.
    var cells: [String] = []
    var wideCells: [String] = []
}

/// The objects of a cluster: those that were applied, and those that it made of them.
struct ObjectViews {
    private let state: ClusterState
    private let plan: LabPlan
    private let age: (ResourceID) -> Date

    init(_ state: ClusterState, _ plan: LabPlan, age: @escaping (ResourceID) -> Date) {
        self.state = state
        self.plan = plan
        self.age = age
    }

    /// The objects of a kind, by namespace and name; nil for all namespaces.
    func all(of kind: KindName, in namespace: String?) -> [ObjectView] {
        let views: [ObjectView] =
            switch kind.kind {
            case Pod.kind: plan.pods.map { pod($0.pod, kind) }
            case Namespace.kind: namespaces(kind)
            case ConfigMap.kind: applied(kind) + [meshConfiguration(kind)].compactMap(\.self)
            default: applied(kind)
            }
        return views.filter { kind.isClusterScoped || namespace == nil || $0.namespace == namespace }
            .sorted { ($0.namespace, $0.name) < ($1.namespace, $1.name) }
    }

    private func applied(_ kind: KindName) -> [ObjectView] {
        state.resources.all.filter { $0.id.kind == kind.kind }.map { resource in
            var document = Self.document(of: resource)
            if !kind.isClusterScoped, document["metadata"]?["namespace"] == nil {
                document = document.changing(["metadata", "namespace"]) { _ in
                    .string(resource.metadata.namespace, at: resource.metadata.location)
                }
            }
            var view = ObjectView(
                kind: kind, namespace: kind.isClusterScoped ? "" : resource.metadata.namespace,
                name: resource.metadata.name, labels: resource.metadata.labels, document: document,
                created: age(resource.id))
            let pods = plan.pods.map(\.pod).filter {
                $0.id.namespace == resource.metadata.namespace && $0.workload == resource.metadata.name
            }
            switch resource {
            case is Workload where ["Deployment", "StatefulSet", "ReplicaSet", "DaemonSet"].contains(kind.kind):
                view.cells = ["\(pods.count)/\(pods.count)"]
            case let map as ConfigMap: view.cells = ["\(map.data.count)"]
            case let service as Service:
                view.cells = Self.cells(of: service, addresses: addresses(of: service))
            default: break
            }
            return view
        }
    }

    /// What the user wrote, or the little that is known of what the lab made up.
    static func document(of resource: any Resource) -> ManifestNode {
        if let node = resource.metadata.document?.node { return node }
        return made(resource.id.kind, "v1", resource.metadata)
    }

    private static func made(_ kind: String, _ version: String, _ metadata: ObjectMeta) -> ManifestNode {
        let location = metadata.location
        var node = ManifestNode.mapping(at: location)
            .setting("apiVersion", to: .string(version, at: location))
            .setting("kind", to: .string(kind, at: location))
            .changing(["metadata", "name"]) { _ in .string(metadata.name, at: location) }
        for (key, value) in metadata.labels.sorted(by: { $0.key < $1.key }) {
            node = node.changing(["metadata", "labels", key]) { _ in .string(value, at: location) }
        }
        return node
    }

    // MARK: Namespaces

    private func namespaces(_ kind: KindName) -> [ObjectView] {
        let given = applied(kind)
        let named = Set(given.map(\.name))
        let implied = Set(
            ["default", "istio-system", "kube-system"] + state.resources.all.map(\.metadata.namespace)
                + plan.pods.map(\.pod.id.namespace)
        ).subtracting(named).subtracting([""])
        let others = implied.map { name in
            let namespace = Namespace(named: name)
            return ObjectView(
                kind: kind, namespace: "", name: name, labels: namespace.metadata.labels,
                document: Self.document(of: namespace), created: age(namespace.id))
        }
        return (given + others).map { view in
            var view = view
            view.cells = ["Active"]
            return view
        }
    }

    // MARK: Istio's ConfigMap

    /// Where the scenario sets the mesh's configuration itself, the ConfigMap that Istio would have it in.
    private func meshConfiguration(_ kind: KindName) -> ObjectView? {
        guard state.resources.resource(ConfigMap.self, "istio-system", "istio") == nil else { return nil }
        let location = SourceLocation(file: "configmap/istio")
        let metadata = ObjectMeta(name: "istio", namespace: "istio-system", location: location)
        let config = state.mesh().config
        let mode = config.outboundTrafficPolicy?.value == .registryOnly ? "REGISTRY_ONLY" : "ALLOW_ANY"
        let log = config.accessLogFile.map { "accessLogFile: \"\($0)\"\n" } ?? ""
        let document = Self.made(kind.kind, "v1", metadata)
            .changing(["metadata", "namespace"]) { _ in .string("istio-system", at: location) }
            .changing(["data", "mesh"]) { _ in
                .string("\(log)outboundTrafficPolicy:\n  mode: \(mode)\n", at: location)
            }
        return ObjectView(
            kind: kind, namespace: "istio-system", name: "istio", labels: [:], document: document,
            created: age(ResourceID(kind: kind.kind, namespace: "istio-system", name: "istio")), cells: ["1"])
    }

    // MARK: Services

    private func addresses(of service: Service) -> [IPAddress] {
        let name = "\(service.metadata.name).\(service.metadata.namespace).svc.\(plan.dns.clusterDomain)"
        return service.clusterIPs.isEmpty ? plan.dns.records[name] ?? [] : service.clusterIPs
    }

    private static func cells(of service: Service, addresses: [IPAddress]) -> [String] {
        let type = service.metadata.document?.node["spec"]?["type"]?.text ?? "ClusterIP"
        let isHeadless = service.metadata.document?.node["spec"]?["clusterIP"]?.text == "None"
        let ports = service.ports.map { "\($0.number)/\("\($0.transport)".uppercased())" }
        return [
            type, isHeadless ? "None" : addresses.first?.description ?? "<none>", "<none>",
            ports.isEmpty ? "<none>" : ports.joined(separator: ","),
        ]
    }

    // MARK: Pods

    private func pod(_ pod: ClusterPod, _ kind: KindName) -> ObjectView {
        let location = pod.origin.location
        func text(_ text: String) -> ManifestNode { .string(text, at: location) }
        func list(_ nodes: [ManifestNode]) -> ManifestNode { ManifestNode(.sequence(nodes), at: location) }
        func map(_ pairs: [(String, ManifestNode)]) -> ManifestNode {
            pairs.reduce(.mapping(at: location)) { $0.setting($1.0, to: $1.1) }
        }
        var containers = pod.spec.containers.map { ($0.name, $0.image) }
        if pod.hasSidecar, !containers.contains(where: { $0.0 == "istio-proxy" }) {
            containers.append(("istio-proxy", "auto"))
        }
        var metadata = [("name", text(pod.id.name)), ("namespace", text(pod.id.namespace))]
        if !pod.labels.isEmpty {
            metadata.append(("labels", map(pod.labels.sorted { $0.key < $1.key }.map { ($0.key, text($0.value)) })))
        }
        if !pod.annotations.isEmpty {
            metadata.append(
                (
                    "annotations",
                    map(pod.annotations.sorted { $0.key < $1.key }.map { ($0.key, text($0.value.value)) })
                ))
        }
        var specification: [(String, ManifestNode)] = []
        if !pod.spec.initContainers.isEmpty {
            specification.append(
                ("initContainers", list(pod.spec.initContainers.map { map([("name", text($0.name))]) })))
        }
        specification += [
            (
                "containers",
                list(
                    containers.map {
                        map($0.1.isEmpty ? [("name", text($0.0))] : [("name", text($0.0)), ("image", text($0.1))])
                    })
            ),
            ("serviceAccountName", text(pod.spec.serviceAccountName)), ("nodeName", text(pod.node)),
        ]
        let addresses = pod.addresses.map(\.description)
        let yes = ManifestNode.plain("true", at: location)
        let status: [(String, ManifestNode)] = [
            ("phase", text("Running")), ("podIP", text(addresses.first ?? "")),
            ("podIPs", list(addresses.map { map([("ip", text($0))]) })),
            (
                "containerStatuses",
                list(containers.map { map([("name", text($0.0)), ("ready", yes), ("started", yes)]) })
            ),
        ]
        let document = map([
            ("apiVersion", text("v1")), ("kind", text("Pod")), ("metadata", map(metadata)),
            ("spec", map(specification)), ("status", map(status)),
        ])
        let count = containers.count
        return ObjectView(
            kind: kind, namespace: pod.id.namespace, name: pod.id.name, labels: pod.labels, document: document,
            created: age(ResourceID(kind: pod.workloadKind, namespace: pod.id.namespace, name: pod.workload)),
            cells: ["\(count)/\(count)", "Running", "0"], wideCells: [addresses.first ?? "<none>", pod.node])
    }
}
