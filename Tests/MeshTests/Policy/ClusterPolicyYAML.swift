/// Writes cluster-wide policies in the words of either version, from the notation of the conformance tables.
struct ClusterPolicyYAML {
    enum Version: String, CaseIterable, Sendable { case v1alpha1, v1alpha2 }

    struct Rule: Sendable {
        /// `Accept`, `Deny` or `Pass`.
        var action: String
        /// Elements of `from` or `to`.
        var peers: [String]
        /// `t80 u53 s9003 web t80-90`; empty: without ports.
        var ports: String

        init(_ action: String, _ peers: String..., ports: String = "") {
            (self.action, self.peers, self.ports) = (action, peers, ports)
        }
    }

    var tier: String
    var name: String
    var priority: Int
    /// `{namespaces: {}}` and the like.
    var subject: String
    var egress: [Rule] = []
    var ingress: [Rule] = []

    func text(_ version: Version) -> String {
        let isNew = version == .v1alpha2
        let kind =
            isNew ? "ClusterNetworkPolicy" : tier == "Admin" ? "AdminNetworkPolicy" : "BaselineAdminNetworkPolicy"
        var lines = [
            "apiVersion: policy.networking.k8s.io/\(version.rawValue)", "kind: \(kind)",
            "metadata: {name: \(isNew || tier == "Admin" ? name : "default")}", "spec:",
        ]
        if isNew { lines.append("  tier: \(tier)") }
        if isNew || tier == "Admin" { lines.append("  priority: \(priority)") }
        lines.append("  subject: \(subject)")
        for (field, peers, rules) in [("egress", "to", egress), ("ingress", "from", ingress)] where !rules.isEmpty {
            lines.append("  \(field):")
            for rule in rules {
                let action = !isNew && rule.action == "Accept" ? "Allow" : rule.action
                lines.append("  - {action: \(action), \(peers): [\(rule.peers.joined(separator: ", "))]")
                let ports = rule.ports.split(separator: " ").map { Self.port(String($0), version) }
                lines[lines.count - 1] +=
                    ports.isEmpty ? "}" : ", \(isNew ? "protocols" : "ports"): [\(ports.joined(separator: ", "))]}"
            }
        }
        return lines.joined(separator: "\n") + "\n---\n"
    }

    private static func port(_ text: String, _ version: Version) -> String {
        let isNew = version == .v1alpha2
        let name = ["t": "TCP", "u": "UDP", "s": "SCTP"][text.prefix(1)]
        guard let name, text.dropFirst().first?.isNumber == true else {
            return isNew ? "{destinationNamedPort: \(text)}" : "{namedPort: \(text)}"
        }
        let numbers = text.dropFirst().split(separator: "-")
        if numbers.count == 2 {
            let ends = "start: \(numbers[0]), end: \(numbers[1])"
            return isNew
                ? "{\(name.lowercased()): {destinationPort: {range: {\(ends)}}}}"
                : "{portRange: {protocol: \(name), \(ends)}}"
        }
        return isNew
            ? "{\(name.lowercased()): {destinationPort: {number: \(numbers[0])}}}"
            : "{portNumber: {protocol: \(name), port: \(numbers[0])}}"
    }

    /// The namespace of that name.
    static func named(_ namespace: String) -> String {
        "{namespaces: {matchLabels: {kubernetes.io/metadata.name: \(namespace)}}}"
    }
}
