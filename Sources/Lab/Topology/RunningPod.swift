import DNS
import Evidence
import Manifests
package import Mesh
import NIOConcurrencyHelpers
import NIOCore
package import Netlink
import NetworkAddresses
package import Proxy
import ProxyModel

/// A pod of a running lab: its namespace and what runs in it.
package final class RunningPod: Sendable {
    private struct State {
        var plan: PodPlan
        var proxy: (any DataPlane)?
        var server: PodServer?
        var dnsServer: DNSServer?
        var agent: DNSAgent?
        var proxyAgent: ProxyAgent?
        var metrics: IstioMetrics?
        /// The proxy was asked to end.
        var hasQuit = false
        /// What runs in containers' places, by the containers' names.
        var programs: [String: any ContainerProgram] = [:]
        /// What commands see of the machine's files, by the names of the containers that they run in.
        var fileSystems: [String: ContainerFileSystem] = [:]
        /// False from creation until the rules are in force: the time of init containers in classic start order.
        var hasStarted = false
    }

    package let id: PodID
    package let index: Int
    package let generation: Int
    package let namespace: NetworkNamespace
    private let state: NIOLockedValueBox<State>

    init(plan: PodPlan, namespace: NetworkNamespace) {
        id = plan.pod.id
        index = plan.pod.index
        generation = plan.pod.generation
        self.namespace = namespace
        state = NIOLockedValueBox(State(plan: plan))
    }

    package var plan: PodPlan {
        get { state.withLockedValue { $0.plan } }
        set {
            let (agent, metrics) = state.withLockedValue { state in
                state.plan = newValue
                return (state.agent, state.metrics)
            }
            metrics?.watch(newValue.proxy)
            if let names = newValue.agent?.names { agent?.update(names) }
        }
    }
    package var proxy: (any DataPlane)? { state.withLockedValue { $0.proxy } }
    /// The proxy, unless it was asked to end.
    var livingProxy: (any DataPlane)? { state.withLockedValue { $0.hasQuit ? nil : $0.proxy } }
    /// Istio's metrics of the proxy.
    package var metrics: IstioMetrics? { state.withLockedValue { $0.metrics } }
    var server: PodServer? { state.withLockedValue { $0.server } }
    /// What runs in containers' places, by the containers' names.
    var programs: [String: any ContainerProgram] { state.withLockedValue { $0.programs } }
    package var hasStarted: Bool { state.withLockedValue { $0.hasStarted } }

    func set(proxy: (any DataPlane)?) { state.withLockedValue { $0.proxy = proxy } }
    func set(proxyAgent: ProxyAgent?) { state.withLockedValue { $0.proxyAgent = proxyAgent } }
    func set(metrics: IstioMetrics?) { state.withLockedValue { $0.metrics = metrics } }
    func set(server: PodServer?) { state.withLockedValue { $0.server = server } }
    func set(agent: DNSAgent?) { state.withLockedValue { $0.agent = agent } }
    func set(dnsServer: DNSServer?) { state.withLockedValue { $0.dnsServer = dnsServer } }
    func add(program: any ContainerProgram, inPlaceOf container: String) {
        state.withLockedValue { $0.programs[container] = program }
    }
    /// What commands in a container see of the machine's files; made when the first one asks for it.
    func fileSystem(
        of container: String, _ make: () throws(KernelError) -> ContainerFileSystem
    ) throws(KernelError) -> ContainerFileSystem {
        if let known = state.withLockedValue({ $0.fileSystems[container] }) { return known }
        let made = try make()
        // Two may have made one at once: all go on in the first.
        return state.withLockedValue { state in
            if let known = state.fileSystems[container] { return known }
            state.fileSystems[container] = made
            return made
        }
    }
    /// The proxy is asked to end: the one that is to be stopped, if it has not been asked before.
    func quit() -> (any DataPlane)? {
        state.withLockedValue { state in
            defer { state.hasQuit = true }
            return state.hasQuit ? nil : state.proxy
        }
    }
    func markStarted() { state.withLockedValue { $0.hasStarted = true } }

    /// The user that a process of a container has: the container's `securityContext`, the pod's, else 1000.
    package func credentials(container: String?) -> (uid: UInt32, gid: UInt32) {
        let spec = plan.pod.spec
        let all = spec.containers + spec.initContainers
        let chosen = container.flatMap { name in all.first { $0.name == name } } ?? spec.containers.first
        let uid = chosen?.runAsUser ?? spec.runAsUser ?? 1000
        return (uid, chosen?.runAsGroup ?? spec.runAsGroup ?? (uid == 0 ? 0 : 1000))
    }

    /// The user and group that the pod's capture rules take for the proxy's own.
    var proxyOwner: (uid: UInt32, gid: UInt32) {
        let capture = plan.pod.capture
        return (capture?.proxyUIDs.first ?? 1337, capture?.proxyGIDs.first ?? 1337)
    }

    func context(uid: UInt32, gid: UInt32) -> NamespaceContext { NamespaceContext(namespace, uid: uid, gid: gid) }

    /// Returns when everything that has reached the pod's proxies up to now is recorded; throws if one has ended.
    func settle() async throws {
        // The proxy first: it is the way to the others.
        try await livingProxy?.settle()
        for program in programs.values { try await program.settle() }
    }

    /// Ends all that runs in it.
    ///
    /// - Parameter labIsOver: what is not recorded yet matters to nobody.
    func stop(labIsOver: Bool = false) async {
        let (proxy, server, dnsServer, agent, programs, proxyAgent) = state.withLockedValue {
            ($0.proxy, $0.server, $0.dnsServer, $0.agent, $0.programs, $0.proxyAgent)
        }
        proxyAgent?.close()
        if labIsOver {
            await proxy?.abandon()
            for program in programs.values { await program.abandon() }
        } else {
            await proxy?.stop()
            for program in programs.values { await program.stop() }
        }
        server?.close()
        dnsServer?.close()
        agent?.close()
    }
}
