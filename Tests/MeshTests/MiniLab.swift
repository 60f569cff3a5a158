import Glibc
import Manifests
import Mesh
import Netlink
import NetworkAddresses
import Nftables
import Testing

/// Pods, nodes and internet of a plan, joined as the lab joins them, with the plan's rules; no proxies, no servers.
struct MiniLab {
    let plan: LabPlan
    /// By name.
    let nodes: [String: NetworkNamespace]
    /// The first, which is the only one of most plans.
    let node: NetworkNamespace
    /// What joins several nodes; nil with one.
    let fabric: NetworkNamespace?
    let internet: NetworkNamespace
    /// The first node's.
    let log: PacketLog
    /// Those of the others.
    let otherLogs: [PacketLog]
    private var pods: [PodID: NetworkNamespace] = [:]

    /// The node's end of its link to the internet.
    static let nodeMAC = MACAddress(local: 1)
    /// The internet's end, in its namespace.
    static let internetLink: Int32 = 4

    private static let gateways = [IPAddress(169, 254, 1, 1), IPAddress(family: .ipv6, value: 0xfe80 << 112 | 1)]
    private static let uplinks = [IPAddress(169, 254, 2, 2), IPAddress(family: .ipv6, value: 0xfe80 << 112 | 2)]

    init(_ plan: LabPlan) throws {
        self.plan = plan
        let internet = try NetworkNamespace.create()
        let namespaces = try plan.nodes.map { _ in try NetworkNamespace.create() }
        let fabric = plan.nodes.count > 1 ? try NetworkNamespace.create() : nil
        (self.internet, self.fabric, node) = (internet, fabric, namespaces[0])
        nodes = Dictionary(uniqueKeysWithValues: zip(plan.nodes.map(\.name), namespaces))
        let logs = try namespaces.map { node in
            try node.enter { try PacketLog(groups: [LabConstants.dropLogGroup, LabConstants.boundaryLogGroup]) }
        }
        (log, otherLogs) = (logs[0], Array(logs.dropFirst()))

        var outward = RouteBatch()
        outward.setLink(index: 1, isUp: true)
        outward.addVeth(
            .init(name: LabConstants.internetInterface, index: 3, address: Self.nodeMAC),
            peer: .init(name: LabConstants.nodeInterfaceInInternet, index: 4, address: Self.internetMAC), in: internet)
        if let fabric {
            Self.addUplink([], at: Self.internetMAC, &outward)
            for (position, (node, namespace)) in zip(plan.nodes, namespaces).enumerated() {
                Self.join(namespace, position, node.addresses, &outward)
            }
            try Self.forward(fabric, outward)
            for (position, (node, namespace)) in zip(plan.nodes, namespaces).enumerated() {
                var batch = RouteBatch()
                batch.setLink(index: 1, isUp: true)
                batch.setLink(index: 3, isUp: true)
                Self.addUplink(node.addresses, at: Self.fabricMAC(position), &batch)
                try Self.forward(namespace, batch)
            }
        } else {
            Self.addUplink(plan.node.addresses, at: Self.internetMAC, &outward)
            try Self.forward(namespaces[0], outward)
        }
        var outside = RouteBatch()
        outside.setLink(index: 1, isUp: true)
        outside.setLink(index: 4, isUp: true)
        try internet.enter { try RouteConnection().send(outside) }
        for pod in plan.pods where !pod.pod.spec.hostNetwork { try connect(pod) }
        for (node, namespace) in zip(plan.nodes, namespaces) {
            let own = plan.pods.filter { $0.pod.node == node.name && !$0.pod.spec.hostNetwork }
            try namespace.enter {
                try NftablesConnection().install(node.ruleset)
                try RouteConnection().waitUntilOperational(
                    Set(own.map { 100 + Int32($0.pod.index) } + [3]), timeout: .seconds(10))
            }
        }
    }

    private static let internetMAC = MACAddress(local: 2)
    private static func fabricMAC(_ node: Int) -> MACAddress { MACAddress(local: 20_000 + UInt32(node)) }
    private static func uplinkMAC(_ node: Int) -> MACAddress { MACAddress(local: 21_000 + UInt32(node)) }
    static func fabricLink(_ node: Int) -> Int32 { 10 + Int32(node) }

    private static func forward(_ namespace: NetworkNamespace, _ batch: RouteBatch) throws {
        try namespace.enter {
            try Sysctl.write("net/ipv4/ip_forward", "1")
            try Sysctl.write("net/ipv6/conf/all/forwarding", "1")
            try RouteConnection().send(batch)
        }
    }

    /// Addresses of a place itself, and the way to all that is not there.
    private static func addUplink(_ addresses: [IPAddress], at mac: MACAddress, _ batch: inout RouteBatch) {
        for address in addresses { batch.addAddress(address, prefixLength: address.family.bitWidth, to: 1) }
        for uplink in uplinks {
            batch.addNeighbour(uplink, at: mac, link: 3)
            batch.addRoute(
                uplink.family == .ipv4 ? .allIPv4 : .allIPv6, via: uplink, link: 3, isOnlink: true,
                source: addresses.first { $0.family == uplink.family })
        }
    }

    /// The fabric's link to a node, and the way to the node's addresses.
    private static func join(
        _ node: NetworkNamespace, _ position: Int, _ addresses: [IPAddress], _ batch: inout RouteBatch
    ) {
        batch.addVeth(
            .init(name: "node\(position + 1)", index: fabricLink(position), address: fabricMAC(position)),
            peer: .init(name: LabConstants.fabricInterface, index: 3, address: uplinkMAC(position)), in: node)
        for gateway in gateways {
            batch.addNeighbour(gateway, at: uplinkMAC(position), link: fabricLink(position))
        }
        for address in addresses { addRoute(to: IPPrefix(address), ofNode: position, &batch) }
    }

    /// The fabric's way to what is at a node.
    static func addRoute(to prefix: IPPrefix, ofNode position: Int, _ batch: inout RouteBatch) {
        batch.addRoute(
            prefix, via: gateways[prefix.family == .ipv4 ? 0 : 1], link: fabricLink(position), isOnlink: true)
    }

    private mutating func connect(_ pod: PodPlan) throws {
        let position = try #require(plan.nodes.firstIndex { $0.name == pod.pod.node })
        let (plan, node) = (plan.nodes[position], try #require(nodes[pod.pod.node]))
        let namespace = try NetworkNamespace.create()
        pods[pod.pod.id] = namespace
        let link = 100 + Int32(pod.pod.index)
        let (podMAC, nodeMAC) = (MACAddress(local: UInt32(link)), MACAddress(local: UInt32(link) + 10_000))
        var inPod = RouteBatch()
        inPod.setLink(index: 1, isUp: true)
        inPod.addVeth(
            .init(name: "eth0", index: 2, address: podMAC),
            peer: .init(name: pod.nodeInterface, index: link, address: nodeMAC), in: node)
        var onNode = RouteBatch()
        onNode.setLink(index: link, isUp: true)
        for address in pod.pod.addresses {
            let gateway = Self.gateways[address.family == .ipv4 ? 0 : 1]
            inPod.addAddress(address, prefixLength: address.family.bitWidth, to: 2)
            inPod.addNeighbour(gateway, at: nodeMAC, link: 2)
            inPod.addRoute(
                address.family == .ipv4 ? .allIPv4 : .allIPv6, via: gateway, link: 2, isOnlink: true, source: address)
            onNode.addNeighbour(address, at: podMAC, link: link)
            onNode.addRoute(
                IPPrefix(address), link: link, source: plan.addresses.first { $0.family == address.family })
        }
        if let fabric {
            var onFabric = RouteBatch()
            for address in pod.pod.addresses { Self.addRoute(to: IPPrefix(address), ofNode: position, &onFabric) }
            try fabric.enter { try RouteConnection().send(onFabric) }
        }
        try namespace.enter { try RouteConnection().send(inPod) }
        try node.enter { try RouteConnection().send(onNode) }
    }

    func namespace(_ name: String, in namespace: String = "default") throws -> NetworkNamespace {
        try #require(pods[PodID(namespace: namespace, name: name)])
    }

    func address(_ name: String, in namespace: String = "default", _ family: IPFamily) throws -> IPAddress {
        try #require(plan.pod(name, in: namespace)?.pod.addresses.first { $0.family == family })
    }

    /// The first logged packet to `destination`, waited for.
    func logged(to destination: IPEndpoint, _ transport: IPProtocol) throws -> LoggedPacket? {
        let deadline = ContinuousClock.now + .seconds(3)
        while ContinuousClock.now < deadline {
            let packets = try log.receive(timeout: deadline - ContinuousClock.now)
            let found = packets.first { $0.tuple?.destination == destination && $0.tuple?.transport == transport }
            if let found { return found }
        }
        return nil
    }
}

/// A socket of a namespace.
struct PodSocket {
    private let descriptor: FileDescriptor

    struct Failure: Error { let errno: Int32 }

    init(
        _ family: IPFamily, _ type: __socket_type, in namespace: NetworkNamespace, uid: UInt32 = 0, gid: UInt32 = 0
    ) throws {
        descriptor = try namespace.enter(as: uid, gid: gid) {
            let number = socket(family == .ipv4 ? AF_INET : AF_INET6, Int32(type.rawValue), 0)
            guard number >= 0 else { throw Failure(errno: errno) }
            var timeout = timeval(tv_sec: 3, tv_usec: 0)
            setsockopt(number, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
            return FileDescriptor(owning: number)
        }
    }

    func bind(to endpoint: IPEndpoint) throws { try call(endpoint) { Glibc.bind(descriptor.number, $0, $1) } }

    func listen() throws {
        guard Glibc.listen(descriptor.number, 8) == 0 else { throw Failure(errno: errno) }
    }

    func connect(to endpoint: IPEndpoint) throws { try call(endpoint) { Glibc.connect(descriptor.number, $0, $1) } }

    /// Sends the first packet of a connection and does not wait for the answer.
    func startConnecting(to endpoint: IPEndpoint) {
        _ = fcntl(descriptor.number, F_SETFL, O_NONBLOCK)
        try? connect(to: endpoint)
    }

    func send(to endpoint: IPEndpoint) throws {
        try call(endpoint) { sendto(descriptor.number, "x", 1, 0, $0, $1) == 1 ? 0 : -1 }
    }

    /// True when a connection has come; one that was made is there at once.
    func hasConnection() -> Bool {
        let accepted = accept(descriptor.number, nil, nil)
        if accepted >= 0 { close(accepted) }
        return accepted >= 0
    }

    /// True when a connection comes in time.
    func hasConnection(within time: Duration) -> Bool {
        var request = pollfd(fd: descriptor.number, events: Int16(POLLIN), revents: 0)
        return poll(&request, 1, Int32(time / .milliseconds(1))) == 1
    }

    /// The next connection to a listener.
    func acceptConnection() -> PodSocket? {
        let accepted = accept(descriptor.number, nil, nil)
        guard accepted >= 0 else { return nil }
        var timeout = timeval(tv_sec: 3, tv_usec: 0)
        setsockopt(accepted, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        return PodSocket(FileDescriptor(owning: accepted))
    }

    private init(_ descriptor: FileDescriptor) { self.descriptor = descriptor }

    func stopWaiting() { _ = fcntl(descriptor.number, F_SETFL, O_NONBLOCK) }

    /// True when a datagram comes within the time limit.
    func receives() -> Bool {
        var byte: UInt8 = 0
        return recv(descriptor.number, &byte, 1, 0) == 1
    }

    private func call(_ endpoint: IPEndpoint, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) throws {
        var storage = sockaddr_storage()
        let size = withUnsafeMutableBytes(of: &storage) { bytes in
            let isIPv4 = endpoint.address.family == .ipv4
            bytes.storeBytes(of: sa_family_t(isIPv4 ? AF_INET : AF_INET6), as: sa_family_t.self)
            bytes.storeBytes(of: endpoint.port.bigEndian, toByteOffset: 2, as: UInt16.self)
            let place = isIPv4 ? 4 : 8
            for (offset, byte) in endpoint.address.bytes.enumerated() { bytes[place + offset] = byte }
            return isIPv4 ? MemoryLayout<sockaddr_in>.size : MemoryLayout<sockaddr_in6>.size
        }
        let result = withUnsafePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(size)) }
        }
        guard result == 0 else { throw Failure(errno: errno) }
    }
}
