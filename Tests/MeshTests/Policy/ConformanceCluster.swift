import Manifests
import Mesh
import NetworkAddresses
import PolicyOracle
import Testing

/// The conformance suite's cluster, and its notation: `h0→l0 t80 s9003; h1→l1 u53`.
struct ConformanceCluster {
    let cluster: PolicyCluster

    static let houses = ["h": "gryffindor", "d": "slytherin", "c": "hufflepuff", "l": "ravenclaw"]

    init() throws {
        let ports = """
            [{name: web, containerPort: 80}, {containerPort: 8080}, {name: dns, containerPort: 53, protocol: UDP}, \
            {containerPort: 5353, protocol: UDP}, {containerPort: 9003, protocol: SCTP}, \
            {containerPort: 9005, protocol: SCTP}]
            """
        var yaml = ""
        for (letter, house) in Self.houses.sorted(by: { $0.key < $1.key }) {
            yaml += KubernetesFixture.namespace(house, "{conformance-house: \(house)}")
            for replica in 0...1 {
                yaml += KubernetesFixture.pod(
                    "\(letter)\(replica)", namespace: house, labels: "{conformance-house: \(house)}", ports: ports)
            }
        }
        cluster = try PolicyCluster(yaml)
    }

    /// Asks everything in the cells of a row, in both families.
    func check(allowed: String, dropped: String, _ row: String) throws {
        let allowed = try IPFamily.allCases.flatMap { try probes(allowed, $0) }
        let dropped = try IPFamily.allCases.flatMap { try probes(dropped, $0) }
        let answers = try cluster.ask(allowed + dropped)
        for (position, answer) in answers.enumerated() {
            let isDropped = position >= allowed.count
            #expect(answer.fate.isDropped == isDropped, "\(row): \(answer)")
            #expect(answer.prediction.ambiguous.isEmpty, "\(row): \(answer)")
        }
    }

    /// H0 … H7 of the pods on the nodes' own network.
    private static func port(_ text: Substring) -> UInt16? {
        guard text.hasPrefix("H") else { return UInt16(text) }
        return UInt16(text.dropFirst()).map { 34345 + $0 }
    }

    private func probes(_ cell: String, _ family: IPFamily) throws -> [PolicyProbe] {
        guard cell != "–" else { return [] }
        return try cell.split(separator: ";").flatMap { part -> [PolicyProbe] in
            var words = part.split(separator: " ")
            let ends = words.removeFirst().split(separator: "→").map(String.init)
            if words == ["all"] { words = ["t80", "u53", "s9003"] }
            let to = try address(ends[1], family)
            return try words.map { word in
                let transport = try #require(["t": IPProtocol.tcp, "u": .udp, "s": .sctp][word.prefix(1)])
                return PolicyProbe(
                    from: .pod(try id(ends[0])), transport: transport,
                    to: IPEndpoint(to, try #require(Self.port(word.dropFirst()))))
            }
        }
    }

    private func id(_ short: String) throws -> PodID {
        PodID(namespace: try #require(Self.houses[String(short.prefix(1))]), name: short)
    }

    func address(_ short: String, _ family: IPFamily) throws -> IPAddress {
        if short.hasPrefix("z") { return try #require(cluster.plan.node.addresses.first { $0.family == family }) }
        let id = try id(short)
        return try cluster.address(id.name, in: id.namespace, family)
    }
}
