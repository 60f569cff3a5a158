import Glibc
import Manifests
import Mesh
import Netlink
import NetworkAddresses
import Nftables
import TestSupport
import Testing

@Suite("Where capture rules lead real packets", .requiresRoot)
struct CaptureBehaviourKernelTests {
    enum Place: UInt16, Sendable, CaseIterable {
        case outboundProxy = 15001, inboundProxy = 15006, application = 8080, agent = 15053
    }

    /// A row of capture.md §3's consequences or §8.
    struct Row: CustomTestStringConvertible, Sendable {
        var uid: UInt32 = 1000
        var gid: UInt32 = 1000
        var transport: IPProtocol = .tcp
        /// nil: the pod's own address.
        var address: String?
        var port: UInt16 = 8080
        var annotation = ""
        /// nil: it leaves the cluster.
        var place: Place?

        var testDescription: String {
            "\(uid):\(gid) \(transport) to \(address ?? "itself") \(port) \(annotation): "
                + (place.map { "\($0)" } ?? "leaves")
        }

        private static let outside = "203.0.113.9"
        private static let outside6 = "2001:db8::9"
        private static func range(_ name: String, _ value: String) -> String {
            "traffic.sidecar.istio.io/\(name): \"\(value)\""
        }

        static let all: [Row] = [
            Row(address: outside, place: .outboundProxy), Row(address: outside6, place: .outboundProxy),
            Row(uid: 1337, address: outside), Row(gid: 1337, address: outside),
            Row(transport: .udp, address: outside),
            Row(place: .application), Row(address: "127.0.0.1", place: .application),
            Row(address: "127.0.0.5", place: .application), Row(uid: 1337, place: .inboundProxy),
            Row(gid: 1337, place: .application),
            Row(address: outside, port: 25, annotation: range("excludeOutboundPorts", "25")),
            Row(address: outside, annotation: range("excludeOutboundIPRanges", "203.0.113.0/24")),
            Row(address: outside, annotation: range("includeOutboundIPRanges", "10.0.0.0/8")),
            Row(address: outside, annotation: range("includeOutboundIPRanges", outside), place: .outboundProxy),
            // IPv6 off: a list of ranges captures nothing of it.
            Row(address: outside6, annotation: range("includeOutboundIPRanges", "2001:db8::/32,203.0.113.0/24")),
            // Included ports beat "no range included"; excluded ranges beat included ports.
            Row(
                address: outside,
                annotation: range("includeOutboundIPRanges", "") + ", " + range("includeOutboundPorts", "8080"),
                place: .outboundProxy),
            Row(
                address: outside,
                annotation: range("excludeOutboundIPRanges", outside) + ", " + range("includeOutboundPorts", "8080")),
        ]

        private static func metadata(_ entries: String) -> String {
            "proxy.istio.io/config: \"{proxyMetadata: {ISTIO_META_DNS_CAPTURE: 'true'\(entries)}}\""
        }
        private static let listed = "10.96.0.10"
        private static let listedServer = metadata("")
        private static let everyServer = metadata(", CAPTURE_ALL_DNS: 'true'")

        /// Rows of capture.md §7.
        static let queries: [Row] = [
            Row(transport: .udp, address: listed, port: 53, annotation: listedServer, place: .agent),
            Row(address: listed, port: 53, annotation: listedServer, place: .agent),
            Row(transport: .udp, address: outside, port: 53, annotation: listedServer),
            Row(transport: .udp, address: outside6, port: 53, annotation: listedServer),
            Row(address: outside, port: 53, annotation: listedServer, place: .outboundProxy),
            Row(transport: .udp, address: outside, port: 53, annotation: everyServer, place: .agent),
            Row(transport: .udp, address: outside6, port: 53, annotation: everyServer, place: .agent),
            Row(address: outside, port: 53, annotation: everyServer, place: .agent),
            Row(uid: 1337, transport: .udp, address: outside, port: 53, annotation: everyServer),
            Row(gid: 1337, address: outside, port: 53, annotation: everyServer),
            Row(transport: .udp, address: outside, port: 5353, annotation: everyServer),
            // To a server in the pod itself, and past an excluded range; an excluded port wins.
            Row(transport: .udp, address: "127.0.0.1", port: 53, annotation: everyServer, place: .agent),
            Row(address: "127.0.0.1", port: 53, annotation: everyServer, place: .agent),
            Row(
                transport: .udp, address: outside, port: 53,
                annotation: everyServer + ", " + range("excludeOutboundIPRanges", "203.0.113.0/24"), place: .agent),
            Row(
                transport: .udp, address: outside, port: 53,
                annotation: everyServer + ", " + range("excludeOutboundPorts", "53")),
        ]
    }

    @Test("each row of the specification's tables", arguments: Row.all + Row.queries)
    func row(_ row: Row) throws {
        let plan = KubernetesFixture.plan(
            KubernetesFixture.pod(
                "sleep", labels: "{sidecar.istio.io/inject: \"true\"}", annotations: "{\(row.annotation)}"))
        let lab = try MiniLab(plan)
        let pod = try lab.namespace("sleep")
        let ruleset = try #require(plan.pod("sleep")).ruleset
        try pod.enter { try NftablesConnection().install(ruleset) }
        var listeners: [Place: PodSocket] = [:]
        for place in Place.allCases {
            // A wildcard IPv6 socket takes IPv4 too.
            let listener = try PodSocket(.ipv6, SOCK_STREAM, in: pod)
            try listener.bind(to: IPEndpoint(.anyIPv6, place.rawValue))
            try listener.listen()
            listeners[place] = listener
        }
        let address = try row.address.flatMap(IPAddress.init) ?? lab.address("sleep", .ipv4)
        let target = IPEndpoint(address, row.port)
        let type = row.transport == .tcp ? SOCK_STREAM : SOCK_DGRAM
        let client = try PodSocket(address.family, type, in: pod, uid: row.uid, gid: row.gid)
        guard let place = row.place else {
            if row.transport == .tcp { client.startConnecting(to: target) } else { try client.send(to: target) }
            let packet = try #require(try lab.logged(to: target, row.transport))
            #expect(packet.group == LabConstants.boundaryLogGroup)
            return
        }
        if row.transport == .udp {
            let receiver = try PodSocket(address.family, SOCK_DGRAM, in: pod)
            try receiver.bind(
                to: IPEndpoint(address.family == .ipv4 ? .loopbackIPv4 : .loopbackIPv6, place.rawValue))
            try client.send(to: target)
            #expect(receiver.receives())
            return
        }
        try client.connect(to: target)
        for (other, listener) in listeners {
            listener.stopWaiting()
            #expect(listener.hasConnection() == (other == place), "\(other)")
        }
    }
}
