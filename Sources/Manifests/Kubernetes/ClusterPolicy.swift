package import NetworkAddresses

/// `policy.networking.k8s.io`: AdminNetworkPolicy and BaselineAdminNetworkPolicy (`v1alpha1`) and ClusterNetworkPolicy
/// (`v1alpha2`), one form for all three (adminnetworkpolicy.md).
package struct ClusterPolicy: Resource, Equatable {
    package enum Kind: String, Sendable, CaseIterable {
        case admin = "AdminNetworkPolicy"
        case baseline = "BaselineAdminNetworkPolicy"
        case cluster = "ClusterNetworkPolicy"
    }

    /// Before NetworkPolicies, or after them.
    package enum Tier: String, Sendable, CaseIterable {
        case admin = "Admin"
        case baseline = "Baseline"
    }

    /// `v1alpha1` says Allow where `v1alpha2` says Accept.
    package enum Action: String, Sendable {
        case accept = "Accept"
        case deny = "Deny"
        case pass = "Pass"
    }

    /// Pods that match `pods` in namespaces that match `namespaces`.
    package struct Pods: Sendable, Hashable {
        package var namespaces: LabelSelector
        /// nil: all pods, as `namespaces` has it.
        package var pods: LabelSelector?

        package init(namespaces: LabelSelector, pods: LabelSelector? = nil) {
            self.namespaces = namespaces
            self.pods = pods
        }
    }

    package enum Peer: Sendable, Hashable {
        case pods(Pods)
        /// Every address of the nodes that match.
        case nodes(LabelSelector)
        /// Destinations inside the cluster or outside.
        case networks([IPPrefix])
        /// Addresses that a lookup of one of the names gave.
        case domainNames([DomainPattern])
    }

    package enum Port: Sendable, Hashable {
        case range(IPProtocol, PortRange)
        /// The container ports of that name in the destination pod, each of its own protocol.
        case named(String)
    }

    /// One element of `ingress` or `egress`.
    package struct Rule: Sendable, Equatable {
        package var name: String?
        package var action: Action
        package var peers: [Peer]
        /// nil: every protocol, ICMP included.
        package var ports: [Port]?
        package var location: SourceLocation

        package init(
            name: String? = nil, action: Action, peers: [Peer], ports: [Port]? = nil, location: SourceLocation
        ) {
            self.name = name
            self.action = action
            self.peers = peers
            self.ports = ports
            self.location = location
        }
    }

    /// Not the manifest's word: `policyKind` has that.
    package static let kind = "ClusterPolicy"
    package static let isClusterScoped = true
    package var policyKind: Kind
    package var metadata: ObjectMeta
    package var tier: Tier
    /// Lower ones come first; 0 for a BaselineAdminNetworkPolicy, which has none and no rival.
    package var priority: Int
    package var subject: Pods
    package var ingress: [Rule]
    package var egress: [Rule]

    package init(
        kind: Kind, metadata: ObjectMeta, tier: Tier, priority: Int, subject: Pods, ingress: [Rule] = [],
        egress: [Rule] = []
    ) {
        self.policyKind = kind
        self.metadata = metadata
        self.tier = tier
        self.priority = priority
        self.subject = subject
        self.ingress = ingress
        self.egress = egress
    }

    package var id: ResourceID { ResourceID(kind: policyKind.rawValue, namespace: "", name: metadata.name) }

    package func rules(_ direction: NetworkPolicy.Direction) -> [Rule] {
        direction == .egress ? egress : ingress
    }

    /// `AdminNetworkPolicy strict spec.egress[0] (no-internet), anp.yaml:14`.
    package func origin(_ direction: NetworkPolicy.Direction, rule position: Int) -> Origin {
        let rule = rules(direction)[position]
        let name = rule.name.map { $0.isEmpty ? "" : " (\($0))" } ?? ""
        return origin("spec.\(direction.rawValue.lowercased())[\(position)]\(name)", at: rule.location)
    }
}

/// `example.org`, or `*.example.org`: any labels in front of it, at least one.
package struct DomainPattern: Sendable, Hashable, CustomStringConvertible {
    /// In lower case, without the final dot and without `*.`.
    package let name: String
    package let isWildcard: Bool

    /// nil where the text is no pattern: `*`, `*.org`, `a*.example.org`.
    package init?(_ text: String) {
        var rest = text.lowercased()
        if rest.hasSuffix(".") { rest.removeLast() }
        isWildcard = rest.hasPrefix("*.")
        if isWildcard { rest.removeFirst(2) }
        let labels = rest.split(separator: ".", omittingEmptySubsequences: false)
        guard labels.count >= 2, rest.utf8.count <= 253, labels.allSatisfy(Self.isLabel) else { return nil }
        name = rest
    }

    package var description: String { isWildcard ? "*.\(name)" : name }

    /// True for the name itself, or for one below it where the pattern is a wildcard; `other` has no final dot.
    package func matches(_ other: String) -> Bool {
        let other = other.lowercased()
        return isWildcard ? other.hasSuffix("." + name) && other.utf8.count > name.utf8.count + 1 : other == name
    }

    /// Upstream lets `_` begin a label, too.
    private static func isLabel(_ label: Substring) -> Bool {
        func isAlphanumeric(_ byte: UInt8) -> Bool { (48...57).contains(byte) || (97...122).contains(byte) }
        guard let first = label.utf8.first, let last = label.utf8.last, label.utf8.count <= 63 else { return false }
        return (isAlphanumeric(first) || first == UInt8(ascii: "_")) && isAlphanumeric(last)
            && label.utf8.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") }
    }
}
