import Control
import Foundation
import Lab
import Manifests
import Mesh

extension StandingLab {
    /// The running pods that a command means, in order; at least one.
    func pods(_ selection: PodSelection) async throws -> [RunningPod] {
        let all = await lab.allPods.filter { $0.id.namespace == selection.namespace }
        if let selector = selection.selector {
            let matches = try Self.selector(selector)
            let chosen = all.filter { matches($0.plan.pod.labels) }
            guard !chosen.isEmpty else {
                throw Refusal("No resources found in \(selection.namespace) namespace.")
            }
            return chosen
        }
        guard let typed = selection.name else { throw Refusal("error: name a pod, or labels with -l") }
        let parts = typed.split(separator: "/", maxSplits: 1).map(String.init)
        guard parts.count == 2 else {
            // A workload's name stands for its first pod, as in scenarios.
            if let pod = all.first(where: { $0.id.name == typed }) { return [pod] }
            if let pod = all.first(where: { $0.plan.pod.workload == typed }) { return [pod] }
            throw notFound("pods", typed, among: all)
        }
        let kind = try Self.kind(parts[0])
        let pod = all.first { pod in
            switch kind.kind {
            case Pod.kind: pod.id.name == parts[1]
            case Service.kind: isBehind(parts[1], pod)
            default: pod.plan.pod.workloadKind == kind.kind && pod.plan.pod.workload == parts[1]
            }
        }
        guard let pod else { throw notFound(kind.qualifiedPlural, parts[1], among: all) }
        return [pod]
    }

    private func isBehind(_ service: String, _ pod: RunningPod) -> Bool {
        let selector =
            state.resources.resource(Service.self, pod.id.namespace, service)?.selector ?? [:]
        let labels = pod.plan.pod.labels
        return !selector.isEmpty && selector.allSatisfy { labels[$0.key] == $0.value }
    }

    private func notFound(_ kind: String, _ name: String, among pods: [RunningPod]) -> Refusal {
        let names = pods.map(\.id.name)
        return Refusal(
            "Error from server (NotFound): \(kind) \"\(name)\" not found"
                + (names.isEmpty ? "" : "; its namespace has \(names.joined(separator: ", "))"))
    }

    /// Refuses a container that the pod has not.
    func check(_ container: String?, of pod: RunningPod) throws {
        guard let container else { return }
        let spec = pod.plan.pod.spec
        var names = (spec.containers + spec.initContainers).map(\.name)
        if pod.plan.proxy != nil, !names.contains("istio-proxy") { names.append("istio-proxy") }
        guard names.contains(container) else {
            throw Refusal(
                "error: container \(container) is not valid for pod \(pod.id.name); it has \(names.joined(separator: ", "))"
            )
        }
    }
}
