import Mesh
import NIOCore
import ProxyModel

/// Where a pod's proxy runs, as whom, and whom it tells.
struct ProxySite: Sendable {
    let pod: RunningPod
    let configuration: ProxyConfiguration
    let group: any EventLoopGroup
    let recorder: EvidenceRecorder

    /// The user and group that the pod's capture rules take for the proxy's own.
    var owner: (uid: UInt32, gid: UInt32) {
        let capture = pod.plan.pod.capture
        return (capture?.proxyUIDs.first ?? 1337, capture?.proxyGIDs.first ?? 1337)
    }

    var context: NamespaceContext { pod.context(uid: owner.uid, gid: owner.gid) }

    var events: ProxyRecorder {
        ProxyRecorder(node: configuration.node, generation: pod.generation, recorder: recorder)
    }
}
