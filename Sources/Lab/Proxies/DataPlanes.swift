import DNS
import Envoy
package import Manifests
import NIOCore
import Proxy
import ProxyModel

/// The data planes that a lab can have, a line each: how the proxy of a pod is made.
package struct DataPlanes: Sendable {
    package let kind: Scenario.DataPlaneKind
    /// Proxies tell of each connection when they accept or begin it. Others are heard only of what became of it.
    let tellsAttempts: Bool
    private let make: @Sendable (ProxySite) throws -> any DataPlane

    private init(
        _ kind: Scenario.DataPlaneKind, tellsAttempts: Bool,
        make: @escaping @Sendable (ProxySite) throws -> any DataPlane
    ) {
        self.kind = kind
        self.tellsAttempts = tellsAttempts
        self.make = make
    }

    /// Proxies in this process.
    package static let bundled = DataPlanes(.bundled, tellsAttempts: true) { site in
        BundledProxy(
            configuration: site.configuration, context: site.context,
            resolver: DNSHostResolver(
                in: site.context, nameservers: site.configuration.nameservers,
                observer: site.recorder.lookupObserver(of: site.pod.id)),
            group: site.group, reportingInterval: .milliseconds(Int64(ProgressReporting.intervalMs)),
            sink: site.events.record)
    }

    /// A process of the program `executable` for each proxy, with its files in `directories`.
    package static func envoy(_ executable: String, in directories: ProxyDirectories) -> DataPlanes {
        DataPlanes(.envoy, tellsAttempts: false) { site in
            let (pod, events) = (site.pod, site.events)
            let envoy = EnvoyDataPlane(
                configuration: site.configuration, executable: executable, directory: directories.path(for: pod),
                namespace: pod.namespace, uid: pod.proxyOwner.uid, gid: pod.proxyOwner.gid, group: site.group,
                sink: events.record)
            Task { if let failure = await envoy.waitForFailure() { site.failed(failure) } }
            return envoy
        }
    }

    /// A proxy that has not started yet.
    func proxy(at site: ProxySite) throws -> any DataPlane { try make(site) }
}
