import Foundation
import Manifests
import Mesh
import NetworkAddresses
import ProxyModel
import Testing

/// A small cluster around manifests: `default/sleep` with a sidecar is the client.
struct IstioFixture {
    var cluster: Mesh.Cluster
    var resources = ResourceSet()
    var client: ClusterPod

    init(
        _ manifests: String = "", mode: MeshConfig.OutboundTrafficPolicy? = nil,
        compatibility: Scenario.Compatibility = .current, namespace: String = "default",
        labels: [String: String] = ["app": "sleep"], isIPv6: Bool = false,
        configure: (inout MeshConfig) -> Void = { _ in }, sourceLocation: Testing.SourceLocation = #_sourceLocation
    ) {
        var mesh = MeshConfig()
        if let mode {
            mesh.outboundTrafficPolicy = Located(mode, at: SourceLocation(file: "mesh.yaml", line: 3))
        }
        configure(&mesh)
        client = Self.pod("sleep", 1, namespace: namespace, labels: labels, isIPv6: isIPv6)
        cluster = Mesh.Cluster(pods: [client], mesh: mesh, compatibility: compatibility)
        let read = ManifestReader.read(text: manifests, file: "manifests.yaml")
        for diagnostic in read.diagnostics where diagnostic.severity >= .unsupported {
            Issue.record("\(diagnostic)", sourceLocation: sourceLocation)
        }
        read.value.forEach { resources.apply($0) }
        for (index, service) in resources.resources(Service.self).enumerated() { add(service, index) }
    }

    static func pod(
        _ name: String, _ index: Int, namespace: String = "default", labels: [String: String], isIPv6: Bool = false
    ) -> ClusterPod {
        var capture = CaptureSettings(loopbackRange: IPPrefix(.loopbackIPv4))
        capture.isIPv6On = isIPv6
        let ipv4 = IPAddress(10, 244, 0, 10).advanced(by: index)
        let ipv6 = IPAddress(family: .ipv6, value: 0xfd00 << 112 | UInt128(index))
        return ClusterPod(
            id: PodID(namespace: namespace, name: "\(name)-1"), workload: name, workloadKind: "Deployment",
            index: index, generation: 0, addresses: isIPv6 ? [ipv4, ipv6] : [ipv4], labels: labels, annotations: [:],
            spec: PodSpec(containers: []), node: "node", capture: capture,
            origin: Origin(
                kind: "Deployment", namespace: namespace, name: name, location: SourceLocation(file: "pods.yaml")))
    }

    /// Gives each Service one pod of its own, unless it selects the client.
    private mutating func add(_ service: Service, _ index: Int) {
        let selector = service.selector ?? [:]
        let namespace = service.metadata.namespace
        var pod = client
        if client.id.namespace != namespace || !selector.allSatisfy({ client.labels[$0.key] == $0.value }) {
            pod = Self.pod(service.metadata.name, index + 10, namespace: namespace, labels: selector)
            cluster.pods.append(pod)
        }
        let ports = service.ports.map { port in
            let number: UInt16 = if case .number(let number) = port.targetPort { number } else { port.number }
            return ClusterService.Port(port: port, endpoints: pod.addresses.map { IPEndpoint($0, number) })
        }
        let given = service.clusterIPs.isEmpty ? [IPAddress(10, 96, 0, 10).advanced(by: index)] : service.clusterIPs
        cluster.services.append(
            ClusterService(
                service: service, hostname: "\(service.metadata.name).\(namespace).svc.cluster.local",
                clusterIPs: service.isHeadless ? [] : given, ports: ports, pods: [pod.id]))
    }

    func compile() -> (configuration: ProxyConfiguration, diagnostics: [Diagnostic]) {
        let compiler = ProxyCompiler(cluster: cluster, resources: resources)
        let (configuration, diagnostics) = compiler.configuration(
            for: client, nameservers: [IPAddress(10, 96, 0, 2)])
        return (configuration, diagnostics)
    }

    var configuration: ProxyConfiguration { compile().configuration }
}

extension ProxyConfiguration {
    func listener(_ name: String) -> Listener? { listeners.first { $0.name == name } }
    func table(_ name: String) -> RouteConfiguration? { routes.first { $0.name == name } }
    func cluster(_ name: String) -> ProxyModel.Cluster? { clusters.first { $0.name == name } }

    var json: String {
        get throws {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
        }
    }
}

extension RouteConfiguration {
    func host(_ name: String) -> VirtualHost? { virtualHosts.first { $0.name == name } }
}

extension Route {
    var forward: ForwardAction? { if case .forward(let action) = action { action } else { nil } }
}

extension FilterChain {
    var tcpClusters: [String] {
        if case .tcpProxy(let proxy) = filter { proxy.clusters.map(\.name) } else { [] }
    }
    var manager: HTTPConnectionManager? {
        if case .httpConnectionManager(let manager) = filter { manager } else { nil }
    }
}

/// Manifests that several tests share.
enum Manifest {
    static func entry(
        _ name: String, _ host: String, _ port: UInt16, _ protocolName: String, resolution: String = "DNS",
        namespace: String = "default", extra: String = ""
    ) -> String {
        """
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: \(name), namespace: \(namespace)}
        spec:
          hosts: ["\(host)"]
          ports: [{number: \(port), name: p\(port), protocol: \(protocolName)}]
          location: MESH_EXTERNAL
          resolution: \(resolution)
        \(extra.split(separator: "\n").map { "  \($0)\n" }.joined())
        ---

        """
    }

    static func service(
        _ name: String, _ port: UInt16, _ portName: String, namespace: String = "default", extra: String = ""
    ) -> String {
        """
        apiVersion: v1
        kind: Service
        metadata: {name: \(name), namespace: \(namespace)}
        spec:
          selector: {app: \(name)}
          ports: [{port: \(port), name: \(portName)}]
        \(extra.split(separator: "\n").map { "  \($0)\n" }.joined())
        ---

        """
    }
}
