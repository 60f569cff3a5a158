import Manifests
import Mesh
import NetworkAddresses
import PolicyOracle
import Testing

/// `a→b t80 u53; world→a 4i`: who sends what to whom, in both families unless a number says which.
///
/// Ends are pods by name (`other/a` outside of `default`), `node`, `world`, an address, or `svc:NAME`.
struct PolicyNotation {
    let cluster: PolicyCluster

    private static let world: [IPFamily: String] = [.ipv4: "203.0.113.9", .ipv6: "2001:db8::9"]

    /// Asks everything, and expects of it what is written.
    func check(allowed: String, dropped: String, _ comment: String = "") throws {
        let allowed = try probes(allowed)
        let answers = try cluster.ask(allowed + probes(dropped))
        for (position, answer) in answers.enumerated() {
            #expect(answer.fate.isDropped == (position >= allowed.count), "\(comment) \(answer)")
        }
    }

    func probes(_ text: String) throws -> [PolicyProbe] {
        try text.split(separator: ";").flatMap { part -> [PolicyProbe] in
            var words = part.split(separator: " ").map(String.init)
            let ends = words.removeFirst().split(separator: "→").map(String.init)
            return try words.flatMap { word in
                try IPFamily.allCases.compactMap { try probe(ends[0], ends[1], word, $0) }
            }
        }
    }

    private func probe(_ from: String, _ to: String, _ word: String, _ family: IPFamily) throws -> PolicyProbe? {
        var word = word
        if let first = word.first, first == "4" || first == "6" {
            guard (first == "4") == (family == .ipv4) else { return nil }
            word.removeFirst()
        }
        let address: IPAddress
        if let given = IPAddress(to) {
            guard given.family == family else { return nil }
            address = given
        } else {
            address = try self.address(to, family)
        }
        let source: PolicyProbe.Source =
            switch from {
            case "node": .node
            case "world": .internet(try self.address(from, family))
            default:
                if let given = IPAddress(from) { .internet(given) } else { .pod(Self.id(from)) }
            }
        if case .internet(let given) = source, given.family != family { return nil }
        let transports: [String: IPProtocol] = [
            "t": .tcp, "u": .udp, "s": .sctp, "i": .icmp, "x": IPProtocol(rawValue: 253),
        ]
        return PolicyProbe(
            from: source, transport: try #require(transports[String(word.prefix(1))]),
            to: IPEndpoint(address, UInt16(word.dropFirst()) ?? 0))
    }

    private func address(_ name: String, _ family: IPFamily) throws -> IPAddress {
        switch name {
        case "world": return try #require(Self.world[family].flatMap { IPAddress($0) })
        case "node": return try #require(cluster.plan.node.addresses.first { $0.family == family })
        default: break
        }
        if name.hasPrefix("svc:") {
            let records = cluster.plan.dns.records["\(name.dropFirst(4)).default.svc.cluster.local"]
            return try #require(records?.first { $0.family == family })
        }
        let id = Self.id(name)
        return try cluster.address(id.name, in: id.namespace, family)
    }

    static func id(_ name: String) -> PodID {
        let parts = name.split(separator: "/").map(String.init)
        return parts.count == 2
            ? PodID(namespace: parts[0], name: parts[1]) : PodID(namespace: "default", name: name)
    }
}
