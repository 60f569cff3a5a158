import Evidence
import Manifests
import Mesh
import NetworkAddresses

/// The two sides of a matrix' pairs, found among the pods of a plan.
struct MatrixEnds {
    /// Whom a column stands for.
    struct Destination {
        /// nil: the internet.
        var pod: PodPlan?
        /// Of the pod, or those at which the internet is asked.
        var addresses: [IPAddress]
        var end: MatrixResult.End
    }

    let sources: [PodPlan]
    let destinations: [Destination]

    init(_ matrix: Matrix, in plan: LabPlan) {
        sources = Self.pods(matrix.from, in: plan)
        let pods = Self.pods(matrix.to, in: plan).map { pod in
            Destination(pod: pod, addresses: pod.pod.addresses, end: pod.pod.matrixEnd)
        }
        destinations = pods + Self.internet(matrix.to)
    }

    private static func pods(_ ends: [Matrix.End], in plan: LabPlan) -> [PodPlan] {
        let asked = plan.pods.filter { planned in
            ends.contains { isMeant(planned.pod, by: $0) }
        }
        return asked.sorted { ($0.pod.id.namespace, $0.pod.index) < ($1.pod.id.namespace, $1.pod.index) }
    }

    private static func isMeant(_ pod: ClusterPod, by end: Matrix.End) -> Bool {
        // No policy ever selects a pod on its node's network, and several share one address.
        if pod.spec.hostNetwork { return false }
        switch end {
        // The DNS server that the lab brings itself is none of the user's pods.
        case .all: return !pod.isBuiltIn
        case .namespace(let name): return pod.id.namespace == name
        case .workload(let reference): return pod.isReferred(by: reference)
        case .internet: return false
        }
    }

    private static func internet(_ ends: [Matrix.End]) -> [Destination] {
        var found: [Destination] = []
        for end in ends {
            let (addresses, name): ([IPAddress], String)
            switch end {
            case .all, .internet(nil): (addresses, name) = (Matrix.internetAddresses, Matrix.internetName)
            case .internet(let address?): (addresses, name) = ([address], end.description)
            case .namespace, .workload: continue
            }
            guard !found.contains(where: { $0.end.name == name }) else { continue }
            found.append(
                Destination(pod: nil, addresses: addresses, end: MatrixResult.End(name: name, workload: name)))
        }
        return found
    }
}

extension ClusterPod {
    /// How tables call the pod.
    var matrixEnd: MatrixResult.End {
        MatrixResult.End(name: id.description, workload: "\(id.namespace)/\(workload)")
    }
}
