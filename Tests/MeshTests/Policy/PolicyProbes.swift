import Glibc
import Manifests
import Mesh
import Netlink
import NetworkAddresses
import Nftables
import PolicyOracle
import Testing

/// One opening packet: who sends what to whom.
struct PolicyProbe: Hashable, CustomStringConvertible {
    enum Source: Hashable {
        case pod(PodID)
        /// The first, which is the only one of most clusters.
        case node
        case nodeNamed(String)
        case internet(IPAddress)
    }

    var from: Source
    var transport: IPProtocol
    var to: IPEndpoint

    var description: String { "\(from) \(transport) \(to)" }
}

/// What became of a packet: the node let it pass, or dropped it and said which rule did.
enum PolicyFate: Equatable {
    case passed
    case dropped(DropReason)
    /// Neither was seen.
    case lost

    var isDropped: Bool {
        if case .dropped = self { true } else { false }
    }
}

/// A cluster in namespaces through whose node single packets are sent; policies and labels may change meanwhile.
///
/// Every packet has a source port of its own. Where it goes on behind the node's policies, a rule of the tests' logs it.
final class PolicyProbes {
    private(set) var plan: LabPlan
    private let lab: MiniLab
    /// In the order of the plan's nodes.
    private let rules: [NftablesConnection]
    private let logs: [PacketLog]
    private var sockets: [SocketName: FileDescriptor] = [:]
    private var nextPort: UInt16 = 1024

    private struct SocketName: Hashable {
        var source: PolicyProbe.Source
        var address: IPAddress
        var transport: IPProtocol
    }

    private static let passedGroup: UInt16 = 9

    init(_ plan: LabPlan) throws {
        self.plan = plan
        let lab = try MiniLab(plan)
        let nodes = try plan.nodes.map { try #require(lab.nodes[$0.name]) }
        rules = try nodes.map { try $0.enter { try NftablesConnection() } }
        // With a fabric it is there that packets leave the cluster.
        let places = nodes + (lab.fabric.map { [$0] } ?? [])
        let passed = try places.map { place in
            try place.enter { try PacketLog(groups: [Self.passedGroup], copyLength: 128) }
        }
        self.lab = lab
        logs = [lab.log] + lab.otherLogs + passed
        try Self.leadIn(lab, plan)
        // Ports come again after some time: no node may still know them by then, or it would choose others.
        for node in nodes {
            try node.enter { try Sysctl.write("net/netfilter/nf_conntrack_tcp_timeout_syn_sent", "5") }
        }
        // On the fabric there are other policies before the packet.
        let onward = Rule(Match(.metaOifname, .interface(LabConstants.fabricInterface)), Verdict.return)
        for rules in rules { try rules.install(Self.watch([onward])) }
        let between = Rule(
            Match(.metaOifname, .notEqual, .interface(LabConstants.internetInterface)), Verdict.return)
        try lab.fabric?.enter { try NftablesConnection().install(Self.watch([between])) }
    }

    /// Logs what goes on behind the policies, but for what the rules take out.
    private static func watch(_ onward: [Rule]) -> Ruleset {
        let log = Rule(
            Match(.ctDirection, .ctDirection(.original)), Log(prefix: "passed", group: passedGroup, snaplen: 128))
        return Ruleset(tables: [
            Table(
                name: "policy-probes",
                chains: [
                    // Before a masquerade changes whose packet it is.
                    Chain(
                        "passed", base: BaseChain(type: .filter, hook: .postrouting, priority: 90),
                        rules: onward + [log]),
                    Chain("arrived", base: BaseChain(type: .filter, hook: .input, priority: 300), rules: [log]),
                ])
        ])
    }

    /// The way from the internet to the cluster.
    private static func leadIn(_ lab: MiniLab, _ plan: LabPlan) throws {
        var batch = RouteBatch()
        for (all, gateway) in [
            (IPPrefix.allIPv4, IPAddress(169, 254, 1, 1)),
            (IPPrefix.allIPv6, IPAddress(family: .ipv6, value: 0xfe80 << 112 | 1)),
        ] {
            batch.addNeighbour(gateway, at: MiniLab.nodeMAC, link: MiniLab.internetLink)
            batch.addRoute(all, via: gateway, link: MiniLab.internetLink, isOnlink: true)
        }
        try lab.internet.enter { try RouteConnection().send(batch) }
        guard let fabric = lab.fabric else { return }
        // A load balancer hands what comes to the first node.
        var onFabric = RouteBatch()
        for service in LabNetwork.loadBalancerRanges {
            MiniLab.addRoute(to: service, ofNode: 0, &onFabric)
        }
        try fabric.enter { try RouteConnection().send(onFabric) }
    }

    func namespace(_ pod: PodID) throws -> NetworkNamespace { try lab.namespace(pod.name, in: pod.namespace) }

    /// Puts a plan's rules in force; its pods must be those that there are.
    /// Sets of names hold what is learnt.
    func install(_ plan: LabPlan, knowing learnt: Set<PolicyWorld.LearntAddress> = []) throws {
        for ((rules, old), new) in zip(zip(rules, self.plan.nodes), plan.nodes) {
            if new.policyTable == nil, let old = old.policyTable { try rules.remove(table: old.name) }
            var ruleset = new.ruleset
            if let table = ruleset.tables.firstIndex(where: { $0.name == NameSet.table }) {
                for position in ruleset.tables[table].sets.indices {
                    let name = ruleset.tables[table].sets[position].name
                    guard let set = new.nameSets.first(where: { $0.names.contains(name) }) else { continue }
                    let family: IPFamily = name == set.ipv4 ? .ipv4 : .ipv6
                    let known = learnt.filter {
                        $0.address.family == family && set.holds($0.name, askedBy: $0.pod)
                    }
                    ruleset.tables[table].sets[position].elements = Set(known.map(\.address)).sorted().map {
                        SetElement(.address($0), timeout: .seconds(600))
                    }
                }
            }
            try rules.install(ruleset)
        }
        self.plan = plan
    }

    /// Sends the packets one after the other, and tells what became of each.
    func send(_ probes: [PolicyProbe]) throws -> [PolicyFate] {
        var waiting: [Key: Int] = [:]
        for (position, probe) in probes.enumerated() { waiting[try send(probe)] = position }
        var fates = [PolicyFate](repeating: .lost, count: probes.count)
        let deadline = ContinuousClock.now + .seconds(3)
        while !waiting.isEmpty, ContinuousClock.now < deadline {
            var packets = try logs.dropLast().flatMap { try $0.receive() }
            packets += try logs[logs.count - 1].receive(timeout: .milliseconds(packets.isEmpty ? 2 : 0))
            for packet in packets {
                guard packet.group != LabConstants.boundaryLogGroup, let tuple = packet.tuple,
                    let position = waiting.removeValue(forKey: Self.key(tuple))
                else { continue }
                if packet.group == Self.passedGroup {
                    fates[position] = .passed
                } else {
                    let reason = plan.nodes.lazy.compactMap { $0.dropReasons[packet.prefix] }.first
                    fates[position] = .dropped(try #require(reason, "\(packet.prefix)"))
                }
            }
        }
        return fates
    }

    /// What nodes do not change of a packet.
    private struct Key: Hashable {
        var transport: IPProtocol
        var port: UInt16
        /// Of what has no port, which is not translated.
        var tuple: FiveTuple?
    }

    private static func key(_ tuple: FiveTuple) -> Key {
        Key(
            transport: tuple.transport, port: tuple.source.port, tuple: tuple.source.port == 0 ? tuple : nil)
    }

    private func send(_ probe: PolicyProbe) throws -> Key {
        let source = try address(of: probe.from, probe.to.address.family)
        nextPort = nextPort == .max ? 1024 : nextPort + 1
        let socket = try socket(SocketName(source: probe.from, address: source, transport: probe.transport))
        let packet = RawPacket(
            transport: probe.transport, source: IPEndpoint(source, probe.transport.hasNumber ? nextPort : 0),
            destination: probe.to)
        try packet.send(on: socket)
        return Self.key(packet.tuple)
    }

    private func address(of source: PolicyProbe.Source, _ family: IPFamily) throws -> IPAddress {
        switch source {
        case .internet(let address): address
        case .node: try #require(plan.node.addresses.first { $0.family == family })
        case .nodeNamed(let name):
            try #require(plan.nodes.first { $0.name == name }?.addresses.first { $0.family == family })
        case .pod(let id): try lab.address(id.name, in: id.namespace, family)
        }
    }

    private func socket(_ name: SocketName) throws -> FileDescriptor {
        if let known = sockets[name] { return known }
        let namespace =
            switch name.source {
            case .pod(let id): try lab.namespace(id.name, in: id.namespace)
            case .node: lab.node
            case .nodeNamed(let name): try #require(lab.nodes[name])
            case .internet: lab.internet
            }
        let socket = try RawPacket.socket(from: name.address, name.transport, in: namespace)
        sockets[name] = socket
        return socket
    }
}

/// The first packet of a flow, transport header and all.
struct RawPacket {
    var transport: IPProtocol
    var source: IPEndpoint
    var destination: IPEndpoint

    struct Failure: Error { let call: String, to: IPEndpoint, errno: Int32 }

    /// As the packet log shows it.
    var tuple: FiveTuple {
        let kind: IPProtocol = transport == .icmp && source.address.family == .ipv6 ? .icmpv6 : transport
        return FiveTuple(kind, from: source, to: destination)
    }

    /// A raw socket bound to `address`, whoever has it.
    static func socket(
        from address: IPAddress, _ transport: IPProtocol, in namespace: NetworkNamespace
    ) throws -> FileDescriptor {
        let isIPv4 = address.family == .ipv4
        let kind: IPProtocol = transport == .icmp && !isIPv4 ? .icmpv6 : transport
        let descriptor = try namespace.enter {
            let number = Glibc.socket(
                isIPv4 ? AF_INET : AF_INET6, Int32(SOCK_RAW.rawValue), Int32(kind.rawValue))
            guard number >= 0 else { throw Failure(call: "socket", to: IPEndpoint(address, 0), errno: errno) }
            return FileDescriptor(owning: number)
        }
        var on: Int32 = 1
        // IP_TRANSPARENT and IPV6_TRANSPARENT: the address may be nobody's.
        setsockopt(descriptor.number, isIPv4 ? 0 : 41, isIPv4 ? 19 : 75, &on, 4)
        if !isIPv4, transport == .tcp || transport == .udp {
            // IPV6_CHECKSUM: where the kernel is to put the checksum.
            var offset: Int32 = transport == .tcp ? 16 : 6
            setsockopt(descriptor.number, 41, 7, &offset, 4)
        }
        try call("bind", IPEndpoint(address, 0)) { Glibc.bind(descriptor.number, $0, $1) }
        return descriptor
    }

    func send(on socket: FileDescriptor) throws {
        let bytes = bytes
        try Self.call("sendto", IPEndpoint(destination.address, 0)) {
            sendto(socket.number, bytes, bytes.count, 0, $0, $1) == bytes.count ? 0 : -1
        }
        // What comes back is of no interest.
        var ignored: [UInt8] = [0]
        while recv(socket.number, &ignored, 1, Int32(MSG_DONTWAIT)) >= 0 {}
    }

    private static func call(
        _ name: String, _ endpoint: IPEndpoint, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) throws {
        var storage = sockaddr_storage()
        let isIPv4 = endpoint.address.family == .ipv4
        withUnsafeMutableBytes(of: &storage) { bytes in
            bytes.storeBytes(of: sa_family_t(isIPv4 ? AF_INET : AF_INET6), as: sa_family_t.self)
            for (offset, byte) in endpoint.address.bytes.enumerated() { bytes[(isIPv4 ? 4 : 8) + offset] = byte }
        }
        let size = socklen_t(isIPv4 ? MemoryLayout<sockaddr_in>.size : MemoryLayout<sockaddr_in6>.size)
        let result = withUnsafePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, size) }
        }
        guard result == 0 else { throw Failure(call: name, to: endpoint, errno: errno) }
    }

    // MARK: Bytes

    var bytes: [UInt8] {
        let ports = Self.big(source.port) + Self.big(destination.port)
        switch transport {
        case .tcp:
            // Sequence number, no acknowledgement, header length 5, SYN, window, checksum, urgent pointer.
            var bytes = ports + [0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xfa, 0xf0, 0, 0, 0, 0]
            sum(&bytes, at: 16)
            return bytes
        case .udp:
            var bytes = ports + [0, 9, 0, 0, UInt8(ascii: "x")]
            sum(&bytes, at: 6)
            return bytes
        case .sctp:
            // INIT: no verification tag, then initiate tag, window, one stream each way, initial TSN.
            var bytes = ports + [0, 0, 0, 0, 0, 0, 0, 0]
            bytes += [1, 0, 0, 20, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1]
            let sum = Self.crc32c(bytes)
            for index in 0..<4 { bytes[8 + index] = UInt8(truncatingIfNeeded: sum >> (8 * UInt32(index))) }
            return bytes
        case .icmp:
            let isIPv4 = source.address.family == .ipv4
            var bytes = [isIPv4 ? 8 : 128, 0, 0, 0] + Self.big(source.port) + [0, 1]
            if isIPv4 { Self.put(Self.checksum(bytes), in: &bytes, at: 2) }
            return bytes
        default:
            return [0, 0, 0, 0]
        }
    }

    private static func big(_ number: UInt16) -> [UInt8] { [UInt8(number >> 8), UInt8(truncatingIfNeeded: number)] }

    private static func put(_ number: UInt16, in bytes: inout [UInt8], at offset: Int) {
        bytes.replaceSubrange(offset..<offset + 2, with: big(number))
    }

    /// With IPv6 the kernel does it.
    private func sum(_ bytes: inout [UInt8], at offset: Int) {
        guard source.address.family == .ipv4 else { return }
        let pseudo =
            source.address.bytes + destination.address.bytes + [0, transport.rawValue]
            + Self.big(UInt16(bytes.count))
        Self.put(Self.checksum(pseudo + bytes), in: &bytes, at: offset)
    }

    private static func checksum(_ bytes: [UInt8]) -> UInt16 {
        var sum: UInt32 = 0
        for index in stride(from: 0, to: bytes.count, by: 2) {
            sum += UInt32(bytes[index]) << 8 + (index + 1 < bytes.count ? UInt32(bytes[index + 1]) : 0)
        }
        while sum >> 16 != 0 { sum = sum & 0xffff + sum >> 16 }
        return ~UInt16(truncatingIfNeeded: sum)
    }

    private static func crc32c(_ bytes: [UInt8]) -> UInt32 {
        var crc: UInt32 = ~0
        for byte in bytes {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0x82f6_3b78 : crc >> 1 }
        }
        return ~crc
    }
}

extension IPProtocol {
    /// True where packets have a port, or an identifier in its place.
    fileprivate var hasNumber: Bool { [.tcp, .udp, .sctp, .icmp].contains(self) }
}
