import Mesh
import NIOCore
import ProxyModel

/// Where a pod's proxy runs, as whom, and whom it tells.
struct ProxySite: Sendable {
    let pod: RunningPod
    let configuration: ProxyConfiguration
    let group: any EventLoopGroup
    let recorder: EvidenceRecorder
    /// Istio 1.0's telemetry service; nil where there is none.
    let telemetry: TelemetryLog?
    let metrics: IstioMetrics
    /// nil where the proxies tell all themselves.
    let untold: UntoldConnections?
    /// To be called when the proxy has ended unasked.
    let failed: @Sendable (any Error) -> Void

    var context: NamespaceContext { pod.context(uid: pod.proxyOwner.uid, gid: pod.proxyOwner.gid) }

    var events: ProxyRecorder {
        ProxyRecorder(
            node: configuration.node, generation: pod.generation, recorder: recorder, telemetry: telemetry,
            metrics: metrics, untold: untold)
    }
}
