import DNS
import Mesh
import NetworkAddresses
import Proxy
import ProxyModel

/// The bundled SNI proxy in a container's place.
final class BundledSNIProxy: ContainerProgram {
    private let proxy: SNIProxy

    init(_ configuration: SNIProxyConfiguration, container: String, at site: ContainerSite) {
        let pod = site.pod
        let owner = pod.credentials(container: container)
        let context = pod.context(uid: owner.uid, gid: owner.gid)
        proxy = SNIProxy(
            configuration: configuration, context: context,
            resolver: DNSHostResolver(
                in: context, nameservers: configuration.nameservers,
                observer: site.recorder.lookupObserver(of: pod.id)),
            ownAddresses: pod.plan.pod.addresses + [.loopbackIPv4, .loopbackIPv6], group: site.group,
            sink: site.sniProxyEvents.record)
    }

    func start() async throws { try await proxy.start() }
    func settle() async { await proxy.settle() }
    func stop() async { await proxy.stop() }
    func lines() -> [String] { proxy.lines() }
    func lines(after count: Int) -> (lines: [String], count: Int) { proxy.lines(after: count) }
    func records() -> [AccessLogRecord] { proxy.records() }
}
