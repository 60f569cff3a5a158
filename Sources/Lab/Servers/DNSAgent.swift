import DNS
import Mesh
import NIOConcurrencyHelpers
import NIOCore
import NetworkAddresses

/// The DNS part of a pod's istio-agent: it answers what the pod's proxy knows, and asks the pod's servers for the rest.
///
/// Its sockets belong to the proxy's user, so that capture lets its own questions pass.
final class DNSAgent: Sendable {
    /// Answers from the table in force.
    private final class Names: DNSPartialResponder {
        private let table: NIOLockedValueBox<NameTable>

        init(_ table: NameTable) { self.table = NIOLockedValueBox(table) }

        func update(_ table: NameTable) { self.table.withLockedValue { $0 = table } }

        func answer(name: String, type: DNSRecordType) -> DNSAnswer? {
            guard let family = type.family, let known = table.withLockedValue({ $0 }).answer(name) else { return nil }
            return DNSAnswer(
                addresses: known.addresses.filter { $0.family == family }, ttlSeconds: DNSAgent.timeToLive,
                canonicalNames: known.canonicalName.map { [$0] } ?? [])
        }
    }

    /// In seconds, as istio-agent has it.
    private static let timeToLive: UInt32 = 30

    private let names: Names
    private let server: DNSServer

    /// Listens in `pod`. Not to be called on an event loop: it waits for the sockets.
    init(
        _ plan: DNSAgentPlan, of pod: RunningPod, on loop: any EventLoop, recorder: EvidenceRecorder,
        untold: UntoldConnections?
    ) throws {
        let (owner, id) = (pod.proxyOwner, pod.id)
        let context = pod.context(uid: owner.uid, gid: owner.gid)
        names = Names(plan.names)
        server = try DNSServer(
            addresses: plan.addresses, port: LabConstants.dnsAgentPort, in: context, on: loop,
            service: DNSForwarder(
                knowing: names, asking: plan.nameservers.map { IPEndpoint($0, LabConstants.dnsPort) },
                from: pod.plan.pod.addresses, in: context,
                onEvent: recorder.agentObserver(of: id, untold: untold))
        ) { recorder.recordTaken($0, byAgentOf: id) }
    }

    /// Puts `table` in force: queries read from now on are answered from it.
    func update(_ table: NameTable) { names.update(table) }

    func close() { server.close() }
}
