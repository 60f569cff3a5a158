import Mesh
import NIOCore
import Netlink
import ProxyModel

/// What runs in a container's place.
protocol ContainerProgram: Sendable {
    /// Returns when it listens.
    func start() async throws
    /// Returns when all that it has done up to now is recorded; throws if it has ended.
    func settle() async throws
    func stop() async
    /// Ends as fast as it can; what is not recorded yet is lost. For a lab that is over.
    func abandon() async
    /// Its log, oldest line first.
    func lines() -> [String]
    /// Its lines after the first `count` that there have ever been, and how many there have been up to now.
    func lines(after count: Int) -> (lines: [String], count: Int)
    /// The structured records behind those lines that tell of connections.
    func records() -> [AccessLogRecord]
    /// Returns when its log has more than `count` lines, or after `time`.
    func nextLine(after count: Int, within time: TimeAmount) async
    /// What it sees of the machine's files; nil: it needs none.
    var fileSystem: ContainerFileSystem? { get }
    /// It goes on calling for as long as it runs.
    var callsUnasked: Bool { get }
}

extension ContainerProgram {
    /// For those that stop fast.
    func abandon() async { await stop() }
    /// Of programs that keep all their lines.
    func lines(after count: Int) -> (lines: [String], count: Int) {
        let all = lines()
        return (Array(all.dropFirst(count)), all.count)
    }

    /// What settles has all its lines.
    func nextLine(after count: Int, within time: TimeAmount) async {}
    var fileSystem: ContainerFileSystem? { nil }
    var callsUnasked: Bool { false }
}

/// Where a container's program runs, and whom it tells.
struct ContainerSite: Sendable {
    let pod: RunningPod
    let group: any EventLoopGroup
    let recorder: EvidenceRecorder
    let files: PodFiles
    let dns: DNSPlan
    /// Makes the calls of programs that are clients.
    let client: FlowClient
    /// What is learnt from the kernel; nil: everything tells of itself.
    let untold: UntoldConnections?
    /// To be called when a program has ended unasked.
    let failed: @Sendable (any Error) -> Void

    /// Follows what programs do that tell nothing themselves; nil: there are none.
    var programs: ProgramConnections? { untold?.programs }

    /// In the name of an SNI proxy of this pod.
    var sniProxyEvents: ProxyRecorder {
        ProxyRecorder(node: pod.sniProxyNode, generation: pod.generation, recorder: recorder)
    }
}

extension RunningPod {
    /// The SNI proxy in a container of this pod, as evidence names it.
    var sniProxyNode: ProxyNode {
        let pod = plan.pod
        return ProxyNode(
            id: "sni-proxy~\(pod.id.name).\(pod.id.namespace)", role: .sniProxy, namespace: pod.id.namespace,
            pod: pod.id.name, workload: pod.workload, labels: pod.labels)
    }
}

/// The kinds of programs, a line each: how what stands in for a container is made.
enum ContainerPrograms {
    /// A program that has not started yet.
    static func program(_ plan: ContainerPlan, at site: ContainerSite) -> any ContainerProgram {
        switch plan.program {
        case .sniProxy(let configuration): BundledSNIProxy(configuration, container: plan.name, at: site)
        case .requests(let calls): RequestsProgram(calls, container: plan.name, at: site)
        case .machine(let program): MachineProgram(program, container: plan.name, at: site)
        }
    }
}
