import Mesh
import Netlink
import NetworkAddresses

/// The lab's links and routes: pods to the node, the node to the internet, and nothing else.
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

    private let node: NetworkNamespace
    private let nodeRoutes: RouteConnection
    private let nodeAddresses: [IPAddress]

    /// Makes the node and the internet out of two empty namespaces.
    init(
        node: NetworkNamespace, internet: NetworkNamespace, nodeAddresses: [IPAddress], clusterRanges: IPPrefixSet
    ) throws {
        self.node = node
        self.nodeAddresses = nodeAddresses
        nodeRoutes = try node.enter {
            try Sysctl.write("net/ipv4/ip_forward", "1")
            try Sysctl.write("net/ipv6/conf/all/forwarding", "1")
            return try RouteConnection()
        }
        try internet.enter {
            // Servers and clients out there speak from addresses that no interface has.
            try Sysctl.write("net/ipv4/ip_nonlocal_bind", "1")
            try Sysctl.write("net/ipv6/ip_nonlocal_bind", "1")
            // Every refusal out there is evidence: none may be held back for having come too soon after another.
            try Sysctl.write("net/ipv4/icmp_ratelimit", "0")
        }
        var batch = RouteBatch()
        batch.setLink(index: Self.loopback, isUp: true)
        batch.addVeth(
            RouteBatch.LinkEnd(
                name: LabConstants.internetInterface, index: Self.uplinkOnNode, address: LabAddresses.nodeUplinkMAC),
            peer: RouteBatch.LinkEnd(
                name: LabConstants.nodeInterfaceInInternet, index: Self.uplinkInInternet,
                address: LabAddresses.internetLinkMAC),
            in: internet)
        for address in nodeAddresses {
            batch.addAddress(address, prefixLength: address.family.bitWidth, to: Self.loopback)
        }
        for (all, gateway) in [
            (IPPrefix.allIPv4, LabAddresses.internetLinkIPv4), (IPPrefix.allIPv6, LabAddresses.internetLinkIPv6),
        ] {
            batch.addNeighbour(gateway, at: LabAddresses.internetLinkMAC, link: Self.uplinkOnNode)
            batch.addRoute(
                all, via: gateway, link: Self.uplinkOnNode, isOnlink: true,
                source: nodeAddresses.first { $0.family == all.family })
        }
        try nodeRoutes.send(batch)
        try internet.enter { try RouteConnection().send(Self.internetBatch(clusterRanges)) }
        try nodeRoutes.waitUntilOperational([Self.uplinkOnNode], timeout: .seconds(5))
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
        // Gateways first: once everything is local, they would be, too, and the kernel refuses such a next hop. All in
        // the local table: it is asked first, and there the longer prefix wins over "everything is mine".
        for prefix in clusterRanges.prefixes {
            let gateway = prefix.family == .ipv4 ? LabAddresses.nodeUplinkIPv4 : LabAddresses.nodeUplinkIPv6
            batch.addRoute(prefix, via: gateway, link: uplinkInInternet, isOnlink: true, table: .local)
        }
        for (all, gateway) in [
            (IPPrefix.allIPv4, LabAddresses.nodeUplinkIPv4), (IPPrefix.allIPv6, LabAddresses.nodeUplinkIPv6),
        ] {
            batch.addNeighbour(gateway, at: LabAddresses.nodeUplinkMAC, link: uplinkInInternet)
            batch.addRoute(all, kind: .local, link: loopback)
        }
        return batch
    }

    /// Makes namespaces for pods and links them to the node; they are ready for packets when it returns.
    func connect(_ pods: [PodPlan]) throws -> [RunningPod] {
        guard !pods.isEmpty else { return [] }
        var running: [RunningPod] = []
        var onNode = RouteBatch()
        for plan in pods {
            let namespace = try NetworkNamespace.create()
            try namespace.enter {
                // The pod asked for it: then a socket to an IPv6 address fails at once, as it would in a cluster.
                if !plan.pod.addresses.contains(where: { $0.family == .ipv6 }) {
                    try Sysctl.write("net/ipv6/conf/all/disable_ipv6", "1")
                }
                // As container runtimes have it: a gateway listens on 443 as a user of its own. It costs a file each,
                // so only where it matters.
                if plan.pod.isRouter || !plan.containers.isEmpty {
                    try Sysctl.write("net/ipv4/ip_unprivileged_port_start", "0")
                }
                try RouteConnection().send(podBatch(plan))
            }
            running.append(RunningPod(plan: plan, namespace: namespace))
            let link = Self.nodeLink(plan.pod.index)
            onNode.setLink(index: link, isUp: true)
            for address in plan.pod.addresses {
                onNode.addNeighbour(address, at: LabAddresses.podMAC(plan.pod.index), link: link)
                onNode.addRoute(
                    IPPrefix(address), link: link, source: nodeAddresses.first { $0.family == address.family })
            }
        }
        try nodeRoutes.send(onNode)
        try nodeRoutes.waitUntilOperational(
            Set(pods.map { Self.nodeLink($0.pod.index) }), timeout: .seconds(10))
        return running
    }

    private func podBatch(_ plan: PodPlan) -> RouteBatch {
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
        var batch = RouteBatch()
        batch.deleteLink(index: Self.nodeLink(plan.pod.index))
        try nodeRoutes.send(batch)
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
