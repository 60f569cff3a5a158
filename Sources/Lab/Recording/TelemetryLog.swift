import Manifests
import Mesh
import NIOConcurrencyHelpers
import NetworkAddresses
import Proxy
import ProxyModel

/// The one log of Istio 1.0's telemetry service: what all proxies of the mesh report to it.
final class TelemetryLog: Sendable {
    private struct State {
        var pods: [IPAddress: ClusterPod] = [:]
        var byName: [PodID: ClusterPod] = [:]
        var records = NewestOf<MixerRecord>()
    }

    private let state = NIOLockedValueBox(State())

    /// From now on these pods are the mesh.
    func watch(_ pods: [ClusterPod]) {
        state.withLockedValue { state in
            state.pods = Dictionary(pods.flatMap { pod in pod.addresses.map { ($0, pod) } }) { $1 }
            state.byName = Dictionary(pods.map { ($0.id, $0) }) { $1 }
        }
    }

    func report(_ record: AccessLogRecord, by node: ProxyNode) {
        state.withLockedValue { state in
            guard let pod = state.byName[PodID(namespace: node.namespace, name: node.pod)] else { return }
            let pods = state.pods
            for made in MixerRecord.records(of: record, by: pod, role: node.role, registry: { pods[$0] }) {
                state.records.append(made)
            }
        }
    }

    var records: [MixerRecord] { state.withLockedValue { $0.records.all } }

    /// As assertions see it.
    var log: PodLog {
        PodLog(
            entries: { self.records.map { record in LogEntry(fields: record.fields, has: record.has) } },
            lines: { self.records.map { ProxyLogLine(path: "/dev/stdout", text: $0.line) } })
    }
}
