import Mesh
import NIOCore
import ProxyModel

/// What runs in a container's place.
protocol ContainerProgram: Sendable {
    /// Returns when it listens.
    func start() async throws
    /// Returns when all that it has done up to now is recorded; throws if it has ended.
    func settle() async throws
    func stop() async
    /// Its log, oldest line first.
    func lines() -> [String]
    /// The structured records behind those lines that tell of connections.
    func records() -> [AccessLogRecord]
}

/// Where a container's program runs, and whom it tells.
struct ContainerSite: Sendable {
    let pod: RunningPod
    let group: any EventLoopGroup
    let recorder: EvidenceRecorder

    /// In the name of an SNI proxy of this pod.
    var sniProxyEvents: ProxyRecorder {
        let pod = pod.plan.pod
        let node = ProxyNode(
            id: "sni-proxy~\(pod.id.name).\(pod.id.namespace)", role: .sniProxy, namespace: pod.id.namespace,
            pod: pod.id.name, workload: pod.workload, labels: pod.labels)
        return ProxyRecorder(node: node, generation: pod.generation, recorder: recorder)
    }
}

/// The kinds of programs, a line each: how what stands in for a container is made.
enum ContainerPrograms {
    /// A program that has not started yet.
    static func program(_ plan: ContainerPlan, at site: ContainerSite) -> any ContainerProgram {
        switch plan.program {
        case .sniProxy(let configuration): BundledSNIProxy(configuration, container: plan.name, at: site)
        }
    }
}
