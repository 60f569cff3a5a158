import Manifests
import Mesh
import Netlink
import NetworkAddresses

/// The lab's links and routes: pods to their nodes, the nodes to the internet, and nothing else. The only node of a lab
/// has the link to the internet itself; several have one each to the fabric, which has it.
///
/// Interface indexes and hardware addresses are chosen beforehand and neighbours are permanent, so that one batch makes
/// a pod's whole network and its first packet needs no question and no answer.
struct Wiring: Sendable {
    private static let loopback: Int32 = 1
    private static let podLink: Int32 = 2
    private static let uplinkOnNode: Int32 = 3
    private static let uplinkInInternet: Int32 = 4
    /// Above the numbers that the kernel gives by itself in the node's namespace.
    private static func nodeLink(_ pod: Int) -> Int32 { 100 + Int32(pod) }
    private static func fabricLink(_ position: Int) -> Int32 { 10 + Int32(position) }

    /// A node, and the way to change its links and routes.
    private struct Place: Sendable {
        let node: RunningNode
        let position: Int
        let routes: RouteConnection
    }

    private var places: [String: Place]
    /// nil: there is one node, and no other will come.
    private let fabricRoutes: RouteConnection?
    private let internet: NetworkNamespace
    /// What the internet reaches through the cluster's link.
    private var clusterRanges: IPPrefixSet

    /// Joins empty namespaces to a cluster's nodes and the internet.
    init(
        nodes: [RunningNode], fabric: NetworkNamespace?, internet: NetworkNamespace, clusterRanges: IPPrefixSet,
        balancers: IPPrefixSet
    ) throws {
        let all = try nodes.enumerated().map { position, node in
            Place(node: node, position: position, routes: try Self.forwarding(node.namespace))
        }
        places = Dictionary(all.map { ($0.node.name, $0) }) { first, _ in first }
        (self.internet, self.clusterRanges) = (internet, clusterRanges)
        try internet.enter {
            // Servers and clients out there speak from addresses that no interface has.
            try Sysctl.write("net/ipv4/ip_nonlocal_bind", "1")
            try Sysctl.write("net/ipv6/ip_nonlocal_bind", "1")
            // Every refusal out there is evidence: none may be held back for having come too soon after another.
            try Sysctl.write("net/ipv4/icmp_ratelimit", "0")
        }
        guard let fabric else {
            fabricRoutes = nil
            var batch = RouteBatch()
            batch.setLink(index: Self.loopback, isUp: true)
            Self.addInternetLink(to: internet, &batch)
            Self.addUplink(nodes[0].addresses, gatewayMAC: LabAddresses.internetLinkMAC, &batch)
            try all[0].routes.send(batch)
            try internet.enter { try RouteConnection().send(Self.internetBatch(clusterRanges)) }
            try all[0].routes.waitUntilOperational([Self.uplinkOnNode], timeout: .seconds(5))
            return
        }
        let fabricRoutes = try Self.forwarding(fabric)
        self.fabricRoutes = fabricRoutes
        try fabricRoutes.send(Self.fabricBatch(nodes, internet, balancers))
        try internet.enter { try RouteConnection().send(Self.internetBatch(clusterRanges)) }
        for place in all { try Self.join(place) }
        try fabricRoutes.waitUntilOperational(
            Set([Self.uplinkOnNode] + nodes.indices.map(Self.fabricLink)), timeout: .seconds(5))
        for place in all { try place.routes.waitUntilOperational([Self.uplinkOnNode], timeout: .seconds(5)) }
    }

    /// Joins one more node to the fabric.
    mutating func add(_ node: RunningNode) throws {
        guard let fabricRoutes else {
            throw LabError("node \(node.name) can't be added: the lab was built for one node")
        }
        let place = Place(node: node, position: places.count, routes: try Self.forwarding(node.namespace))
        var batch = RouteBatch()
        Self.addNode(node, place.position, &batch)
        try fabricRoutes.send(batch)
        try Self.join(place)
        places[node.name] = place
        try fabricRoutes.waitUntilOperational([Self.fabricLink(place.position)], timeout: .seconds(5))
        try place.routes.waitUntilOperational([Self.uplinkOnNode], timeout: .seconds(5))
    }

    /// Leads what is the cluster's since now there, too.
    mutating func extend(to ranges: IPPrefixSet) throws {
        let new = ranges.subtracting(clusterRanges)
        guard !new.prefixes.isEmpty else { return }
        var batch = RouteBatch()
        Self.addRoutes(to: new, &batch)
        try internet.enter { try RouteConnection().send(batch) }
        clusterRanges = ranges
    }

    /// A node's end of its link to the fabric.
    private static func join(_ place: Place) throws {
        var batch = RouteBatch()
        batch.setLink(index: loopback, isUp: true)
        batch.setLink(index: uplinkOnNode, isUp: true)
        addUplink(place.node.addresses, gatewayMAC: LabAddresses.nodeMAC(inFabric: place.position), &batch)
        try place.routes.send(batch)
    }

    private static func forwarding(_ namespace: NetworkNamespace) throws -> RouteConnection {
        try namespace.enter {
            try Sysctl.write("net/ipv4/ip_forward", "1")
            try Sysctl.write("net/ipv6/conf/all/forwarding", "1")
            return try RouteConnection()
        }
    }

    private static func addInternetLink(to internet: NetworkNamespace, _ batch: inout RouteBatch) {
        batch.addVeth(
            RouteBatch.LinkEnd(
                name: LabConstants.internetInterface, index: uplinkOnNode, address: LabAddresses.nodeUplinkMAC),
            peer: RouteBatch.LinkEnd(
                name: LabConstants.nodeInterfaceInInternet, index: uplinkInInternet,
                address: LabAddresses.internetLinkMAC),
            in: internet)
    }

    /// Addresses of this place itself, and the way to all that is not here.
    private static func addUplink(_ addresses: [IPAddress], gatewayMAC: MACAddress, _ batch: inout RouteBatch) {
        for address in addresses {
            batch.addAddress(address, prefixLength: address.family.bitWidth, to: loopback)
        }
        for (all, gateway) in [
            (IPPrefix.allIPv4, LabAddresses.internetLinkIPv4), (IPPrefix.allIPv6, LabAddresses.internetLinkIPv6),
        ] {
            batch.addNeighbour(gateway, at: gatewayMAC, link: uplinkOnNode)
            batch.addRoute(
                all, via: gateway, link: uplinkOnNode, isOnlink: true,
                source: addresses.first { $0.family == all.family })
        }
    }

    /// The fabric: a link to each node, the way to its addresses, and the link to the internet.
    private static func fabricBatch(
        _ nodes: [RunningNode], _ internet: NetworkNamespace, _ balancers: IPPrefixSet
    ) -> RouteBatch {
        var batch = RouteBatch()
        batch.setLink(index: loopback, isUp: true)
        addInternetLink(to: internet, &batch)
        addUplink(
            [LabAddresses.fabricIPv4, LabAddresses.fabricIPv6], gatewayMAC: LabAddresses.internetLinkMAC, &batch)
        for (position, node) in nodes.enumerated() { addNode(node, position, &batch) }
        // A load balancer hands what comes to any node, which leads it on; here it is the first.
        for prefix in balancers.prefixes {
            let gateway = prefix.family == .ipv4 ? LabAddresses.nodeUplinkIPv4 : LabAddresses.nodeUplinkIPv6
            batch.addRoute(prefix, via: gateway, link: fabricLink(0), isOnlink: true)
        }
        return batch
    }

    /// The fabric's link to a node, and the way to its addresses.
    private static func addNode(_ node: RunningNode, _ position: Int, _ batch: inout RouteBatch) {
        let link = fabricLink(position)
        batch.addVeth(
            RouteBatch.LinkEnd(
                name: "node\(position + 1)", index: link, address: LabAddresses.nodeMAC(inFabric: position)),
            peer: RouteBatch.LinkEnd(
                name: LabConstants.fabricInterface, index: uplinkOnNode,
                address: LabAddresses.fabricMAC(ofNode: position)),
            in: node.namespace)
        for gateway in [LabAddresses.nodeUplinkIPv4, LabAddresses.nodeUplinkIPv6] {
            batch.addNeighbour(gateway, at: LabAddresses.fabricMAC(ofNode: position), link: link)
        }
        for address in node.addresses { addRoute(to: address, ofNode: position, &batch) }
    }

    /// The fabric's way to an address at a node.
    private static func addRoute(to address: IPAddress, ofNode position: Int, _ batch: inout RouteBatch) {
        batch.addRoute(
            IPPrefix(address), via: nodeGateway(address.family), link: fabricLink(position), isOnlink: true)
    }

    private static func nodeGateway(_ family: IPFamily) -> IPAddress {
        family == .ipv4 ? LabAddresses.nodeUplinkIPv4 : LabAddresses.nodeUplinkIPv6
    }

    /// Every address but the cluster's is delivered here; the cluster's are reached through the node.
    private static func internetBatch(_ clusterRanges: IPPrefixSet) -> RouteBatch {
        var batch = RouteBatch()
        batch.setLink(index: loopback, isUp: true)
        batch.setLink(index: uplinkInInternet, isUp: true)
        // A redirected packet goes to an address of the interface that it came in by, of its own scope.
        for address in [LabAddresses.internetLinkIPv4, LabAddresses.internetRedirectIPv6] {
            batch.addAddress(address, prefixLength: address.family.bitWidth, to: uplinkInInternet)
        }
        // The kernel refuses a next hop that is local, and soon everything is: but for the gateway, which has a route of
        // its own. (One that is link-local, as IPv6's, it takes.) All in the local table: it is asked first, and there
        // the longer prefix wins over "everything is mine".
        batch.addRoute(IPPrefix(LabAddresses.nodeUplinkIPv4), link: uplinkInInternet, table: .local)
        addRoutes(to: clusterRanges, &batch)
        for (all, gateway) in [
            (IPPrefix.allIPv4, LabAddresses.nodeUplinkIPv4), (IPPrefix.allIPv6, LabAddresses.nodeUplinkIPv6),
        ] {
            batch.addNeighbour(gateway, at: LabAddresses.nodeUplinkMAC, link: uplinkInInternet)
            batch.addRoute(all, kind: .local, link: loopback)
        }
        return batch
    }

    /// The internet's ways into the cluster.
    private static func addRoutes(to ranges: IPPrefixSet, _ batch: inout RouteBatch) {
        for prefix in ranges.prefixes {
            let gateway = prefix.family == .ipv4 ? LabAddresses.nodeUplinkIPv4 : LabAddresses.nodeUplinkIPv6
            batch.addRoute(prefix, via: gateway, link: uplinkInInternet, isOnlink: true, table: .local)
        }
    }

    /// Makes namespaces for pods and links them to their nodes; they are ready for packets when it returns. Pods on the
    /// node's own network have its namespace.
    func connect(_ pods: [PodPlan]) throws -> [RunningPod] {
        guard !pods.isEmpty else { return [] }
        var running: [RunningPod] = []
        var onFabric = RouteBatch()
        var onNodes: [String: RouteBatch] = [:]
        var links: [String: Set<Int32>] = [:]
        for plan in pods {
            let place = try place(of: plan)
            if plan.pod.spec.hostNetwork {
                running.append(RunningPod(plan: plan, namespace: place.node.namespace))
                continue
            }
            running.append(RunningPod(plan: plan, namespace: try makePod(plan, place)))
            let link = Self.nodeLink(plan.pod.index)
            var batch = onNodes.removeValue(forKey: place.node.name) ?? RouteBatch()
            batch.setLink(index: link, isUp: true)
            for address in plan.pod.addresses {
                batch.addNeighbour(address, at: LabAddresses.podMAC(plan.pod.index), link: link)
                batch.addRoute(
                    IPPrefix(address), link: link,
                    source: place.node.addresses.first { $0.family == address.family })
                if fabricRoutes != nil { Self.addRoute(to: address, ofNode: place.position, &onFabric) }
            }
            onNodes[place.node.name] = batch
            links[place.node.name, default: []].insert(link)
        }
        for (name, batch) in onNodes { try places[name]?.routes.send(batch) }
        try fabricRoutes?.send(onFabric)
        for (name, links) in links {
            try places[name]?.routes.waitUntilOperational(links, timeout: .seconds(10))
        }
        return running
    }

    private func place(of plan: PodPlan) throws -> Place {
        guard let place = places[plan.pod.node] else {
            throw LabError("pod \(plan.pod.id) is on the node \(plan.pod.node), which the lab does not have")
        }
        return place
    }

    private func makePod(_ plan: PodPlan, _ place: Place) throws -> NetworkNamespace {
        let namespace = try NetworkNamespace.create()
        try namespace.enter {
            // The pod asked for it: then a socket to an IPv6 address fails at once, as it would in a cluster.
            if !plan.pod.addresses.contains(where: { $0.family == .ipv6 }) {
                try Sysctl.write("net/ipv6/conf/all/disable_ipv6", "1")
            }
            // As container runtimes have it: a gateway listens on 443 as a user of its own. It costs a file each, so
            // only where it matters.
            if plan.pod.isRouter || !plan.containers.isEmpty {
                try Sysctl.write("net/ipv4/ip_unprivileged_port_start", "0")
            }
            try RouteConnection().send(podBatch(plan, place.node.namespace))
        }
        return namespace
    }

    private func podBatch(_ plan: PodPlan, _ node: NetworkNamespace) -> RouteBatch {
        var batch = RouteBatch()
        batch.setLink(index: Self.loopback, isUp: true)
        batch.addVeth(
            RouteBatch.LinkEnd(name: "eth0", index: Self.podLink, address: LabAddresses.podMAC(plan.pod.index)),
            peer: RouteBatch.LinkEnd(
                name: plan.nodeInterface, index: Self.nodeLink(plan.pod.index),
                address: LabAddresses.nodeMAC(plan.pod.index)),
            in: node)
        for address in plan.pod.addresses {
            batch.addAddress(address, prefixLength: address.family.bitWidth, to: Self.podLink)
            let isIPv4 = address.family == .ipv4
            let gateway = isIPv4 ? LabAddresses.podGatewayIPv4 : LabAddresses.podGatewayIPv6
            batch.addNeighbour(gateway, at: LabAddresses.nodeMAC(plan.pod.index), link: Self.podLink)
            batch.addRoute(
                isIPv4 ? .allIPv4 : .allIPv6, via: gateway, link: Self.podLink, isOnlink: true, source: address)
        }
        // Envoy's source for traffic that its inbound side hands to the application.
        if plan.pod.capture?.isIPv6On == true, let inbound = IPAddress("::6") {
            batch.addAddress(inbound, prefixLength: 128, to: Self.loopback)
        }
        return batch
    }

    /// Takes a pod's link away; its namespace goes when nothing holds it any more.
    func disconnect(_ plan: PodPlan) throws {
        guard !plan.pod.spec.hostNetwork else { return }
        let place = try place(of: plan)
        var batch = RouteBatch()
        batch.deleteLink(index: Self.nodeLink(plan.pod.index))
        try place.routes.send(batch)
        guard let fabricRoutes else { return }
        var onFabric = RouteBatch()
        for address in plan.pod.addresses {
            onFabric.deleteRoute(
                IPPrefix(address), via: Self.nodeGateway(address.family), link: Self.fabricLink(place.position))
        }
        try fabricRoutes.send(onFabric)
    }
}

extension IPPrefixSet {
    /// The set as CIDR blocks, as few as possible.
    var prefixes: [IPPrefix] {
        ranges.flatMap { range -> [IPPrefix] in
            let family = range.lowerBound.family
            var blocks: [IPPrefix] = []
            var next: IPAddress? = range.lowerBound
            while let start = next, start <= range.upperBound {
                var length = family.bitWidth
                while length > 0, let wider = IPPrefix(start, length: length - 1), wider.first == start,
                    wider.last <= range.upperBound
                {
                    length -= 1
                }
                guard let block = IPPrefix(start, length: length) else { break }
                blocks.append(block)
                next = block.last < range.upperBound ? block.last.advanced(by: 1) : nil
            }
            return blocks
        }
    }
}
