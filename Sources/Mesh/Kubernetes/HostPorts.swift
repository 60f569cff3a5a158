import Manifests
import NetworkAddresses

/// The ports of nodes that pods have for themselves, as the scheduler counts them.
struct HostPorts {
    /// A port of a node.
    struct Claim {
        var transport: IPProtocol
        var port: UInt16
        /// nil: at all of the node's addresses.
        var address: IPAddress?

        func collides(with other: Claim) -> Bool {
            transport == other.transport && port == other.port
                && (address == nil || other.address == nil || address == other.address)
        }
    }

    /// A claim that another pod has already.
    struct Collision {
        var claim: Claim
        var owner: PodID
    }

    private var claims: [String: [(owner: PodID, claim: Claim)]] = [:]

    /// The pod has what it claims of `node`.
    mutating func take(_ spec: PodSpec, of pod: PodID, on node: String) {
        let own = spec.hostPorts
        if !own.isEmpty { claims[node, default: []] += own.map { (pod, $0) } }
    }

    /// The pod has nothing any more.
    mutating func release(_ pod: PodID) {
        for node in claims.keys { claims[node]?.removeAll { $0.owner == pod } }
    }

    /// The first port that a pod can't have on `node`; nil: it can have all.
    func collision(_ spec: PodSpec, of pod: PodID, on node: String) -> Collision? {
        guard let taken = claims[node], !taken.isEmpty else { return nil }
        for claim in spec.hostPorts {
            if let other = taken.first(where: { $0.owner != pod && $0.claim.collides(with: claim) }) {
                return Collision(claim: claim, owner: other.owner)
            }
        }
        return nil
    }
}

extension PodSpec {
    /// What the pod claims of its node: on the node's network every port that it names.
    fileprivate var hostPorts: [HostPorts.Claim] {
        (containers + initContainers.filter(\.isNativeSidecar)).flatMap(\.ports).compactMap { port in
            guard let number = port.hostPort ?? (hostNetwork ? port.number : nil) else { return nil }
            let isEverywhere = port.hostIP == .anyIPv4 || port.hostIP == .anyIPv6
            return HostPorts.Claim(
                transport: port.transport, port: number, address: isEverywhere ? nil : port.hostIP)
        }
    }
}
