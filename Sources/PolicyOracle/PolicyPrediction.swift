import Manifests

/// What policies make of a packet.
package struct PolicyPrediction: Sendable {
    package var isAllowed: Bool
    /// What decided, for each direction that was asked, in order.
    package var reasons: [PolicyReason]
    /// Policies of one tier and one priority whose order decides the matter; empty where no order does.
    package var ambiguous: [String]
}

/// Why a packet may pass one end, or may not; a sentence only where somebody reads it.
package struct PolicyReason: Sendable, CustomStringConvertible {
    enum Cause: Sendable {
        case isItself, isFromNode
        case reachesItself, reachesNode
        case accepted(PreparedClusterPolicy, rule: Int)
        case denied(PreparedClusterPolicy, rule: Int)
        case allowed(PreparedNetworkPolicy, rule: Int)
        case isolated([PreparedNetworkPolicy])
        case undecided
    }

    var cause: Cause
    var pod: PolicyMember?
    var direction: NetworkPolicy.Direction

    package var description: String {
        guard let pod else { return sentence }
        return "\(direction.rawValue.lowercased()) of \(pod.pod.namespace)/\(pod.pod.name): \(sentence)"
    }

    private var sentence: String {
        switch cause {
        case .isItself, .reachesItself: "a pod always reaches itself"
        case .isFromNode: "a node always reaches its own pods"
        case .reachesNode: "a pod always reaches its node"
        case .accepted(let policy, let rule): "accepted by \(policy.policy.origin(direction, rule: rule))"
        case .denied(let policy, let rule): "denied by \(policy.policy.origin(direction, rule: rule))"
        case .allowed(let policy, let rule):
            "allowed by \(policy.policy.origin(at: policy.rules(direction)[rule].location))"
        case .isolated(let policies):
            "isolated by NetworkPolicy \(policies.map(\.name).joined(separator: ", ")), and no rule allows it"
        case .undecided: "no policy decides"
        }
    }
}
