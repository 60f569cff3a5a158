import Glibc
import Netlink
import NetworkAddresses
import TestSupport
import Testing

/// A pod and an "internet" that answers for every address, joined by a veth pair.
struct TwoNamespaces {
    let pod: NetworkNamespace
    let internet: NetworkNamespace
    static let podIPv4 = IPAddress(10, 244, 0, 2)
    static let podIPv6 = IPAddress("fd00:244::2") ?? .anyIPv6
    static let hubIPv6 = IPAddress("fe80::1") ?? .anyIPv6
    static let hubIPv4 = IPAddress(169, 254, 1, 1)

    init() throws {
        (pod, internet) = (try NetworkNamespace.create(), try NetworkNamespace.create())
        let (podMAC, hubMAC) = (MACAddress(local: 2), MACAddress(local: 1))
        var batch = RouteBatch()
        batch.setLink(index: 1, isUp: true)
        batch.addVeth(
            .init(name: "eth0", index: 2, address: podMAC), peer: .init(name: "pod0", index: 100, address: hubMAC),
            in: internet)
        batch.addAddress(Self.podIPv4, prefixLength: 32, to: 2)
        batch.addAddress(Self.podIPv6, prefixLength: 128, to: 2)
        batch.addNeighbour(Self.hubIPv4, at: hubMAC, link: 2)
        batch.addNeighbour(Self.hubIPv6, at: hubMAC, link: 2)
        batch.addRoute(.allIPv4, via: Self.hubIPv4, link: 2, isOnlink: true)
        batch.addRoute(.allIPv6, via: Self.hubIPv6, link: 2)
        var hub = RouteBatch()
        hub.setLink(index: 1, isUp: true)
        hub.setLink(index: 100, isUp: true)
        hub.addAddress(Self.hubIPv6, prefixLength: 64, to: 100)
        hub.addNeighbour(Self.podIPv4, at: podMAC, link: 100)
        hub.addNeighbour(Self.podIPv6, at: podMAC, link: 100)
        hub.addRoute(IPPrefix(Self.podIPv4), link: 100)
        hub.addRoute(IPPrefix(Self.podIPv6), link: 100)
        hub.addRoute(.allIPv4, kind: .local, link: 1, table: .main)
        hub.addRoute(.allIPv6, kind: .local, link: 1, table: .main)
        try pod.enter { try RouteConnection().send(batch) }
        try internet.enter { try RouteConnection().send(hub) }
        try pod.enter { try RouteConnection().waitUntilOperational([1, 2], timeout: .seconds(5)) }
        try internet.enter { try RouteConnection().waitUntilOperational([1, 100], timeout: .seconds(5)) }
    }
}

@Suite("Links, addresses and routes", .requiresRoot)
struct RouteConnectionKernelTests {
    @Test("one batch joins a pod to a namespace that answers for every address, in both families")
    func podReachesAnyAddress() throws {
        let lab = try TwoNamespaces()
        for (any, target) in [(IPAddress.anyIPv4, "93.184.216.34"), (.anyIPv6, "2606:2800:220:1::1")] {
            let destination = IPEndpoint(try #require(IPAddress(target)), 443)
            let server = try lab.internet.enter { try ProbeSocket(any.family, SOCK_STREAM) }
            try server.bind(to: IPEndpoint(any, 443))
            try server.listen()
            let client = try lab.pod.enter { try ProbeSocket(any.family, SOCK_STREAM) }
            let start = ContinuousClock.now
            try client.connect(to: destination)
            // A lost first packet would be retransmitted after a second.
            #expect(ContinuousClock.now - start < .milliseconds(500))
        }
    }

    @Test("links and addresses are listed as they were made, none tentative")
    func listing() throws {
        let lab = try TwoNamespaces()
        let (links, addresses) = try lab.pod.enter {
            (try RouteConnection().links(), try RouteConnection().addresses())
        }
        #expect(links.map(\.name) == ["lo", "eth0"] && links.map(\.index) == [1, 2])
        #expect(links.allSatisfy { $0.isUp && $0.isOperational })
        #expect(links[1].address == MACAddress(local: 2))
        #expect(addresses.contains { $0.address == TwoNamespaces.podIPv4 && $0.prefixLength == 32 && $0.index == 2 })
        #expect(addresses.contains { $0.address == TwoNamespaces.podIPv6 && !$0.isTentative })
    }

    @Test("a change that fails is named, and the kernel's words are kept")
    func failure() throws {
        let other = try NetworkNamespace.create()
        try withScratchNamespace { namespace in
            var batch = RouteBatch()
            batch.addVeth(.init(name: "eth0", index: 5), peer: .init(name: "pod0", index: 100), in: other)
            batch.addAddress(IPAddress(10, 0, 0, 1), prefixLength: 24, to: 5)
            batch.addRoute(.allIPv4, via: IPAddress(192, 0, 2, 1), link: 5)
            batch.addAddress(IPAddress(10, 0, 0, 1), prefixLength: 24, to: 5)
            let error = try namespace.enter {
                try #require(throws: KernelError.self) { try RouteConnection().send(batch) }
            }
            #expect(error.object == "route 0.0.0.0/0 via 192.0.2.1 (and 1 more)")
            #expect(error.errno == ENETUNREACH && error.reason == "Nexthop has invalid gateway")
        }
    }

    @Test("waiting for a link without a peer that is up ends at the deadline and names the link")
    func waitingEnds() throws {
        let other = try NetworkNamespace.create()
        try withScratchNamespace { namespace in
            var batch = RouteBatch()
            batch.addVeth(.init(name: "eth0", index: 2), peer: .init(name: "pod0", index: 100), in: other)
            try namespace.enter {
                let connection = try RouteConnection()
                try connection.send(batch)
                let error = try #require(throws: KernelError.self) {
                    try connection.waitUntilOperational([1, 2], timeout: .milliseconds(20))
                }
                #expect(error.code == .timedOut && error.object == "links 2")
            }
        }
    }

    @Test("routing by mark, blackholes and removal are accepted")
    func otherChanges() throws {
        let other = try NetworkNamespace.create()
        try withScratchNamespace { namespace in
            try namespace.enter {
                let connection = try RouteConnection()
                var batch = RouteBatch()
                batch.addVeth(.init(name: "eth0", index: 5), peer: .init(name: "pod0", index: 100), in: other)
                batch.addAddress(IPAddress(10, 0, 0, 1), prefixLength: 24, to: 5)
                for family in IPFamily.allCases {
                    let all = family == .ipv4 ? IPPrefix.allIPv4 : .allIPv6
                    batch.addRule(family: family, mark: 1337, table: .number(133))
                    batch.addRoute(all, kind: .local, link: 1, table: .number(133))
                    batch.addRoute(all, kind: .unreachable, metric: 4000)
                    batch.deleteRoute(all, kind: .unreachable)
                }
                batch.deleteAddress(IPAddress(10, 0, 0, 1), prefixLength: 24, from: 5)
                batch.deleteLink(index: 5)
                try connection.send(batch)
                #expect(try connection.links().map(\.name) == ["lo"])
            }
        }
    }

    @Test("a hundred pods are joined to one hub")
    func manyPods() throws {
        try withScratchNamespace { hub in
            var pods: [NetworkNamespace] = []
            for number in Int32(0)..<100 {
                let pod = try NetworkNamespace.create()
                var batch = RouteBatch()
                batch.addVeth(
                    .init(name: "eth0", index: 2), peer: .init(name: "pod\(number)", index: 100 + number), in: hub)
                try pod.enter { try RouteConnection().send(batch) }
                pods.append(pod)
            }
            try hub.enter {
                let connection = try RouteConnection()
                try connection.bringUp(Array(100..<200), timeout: .seconds(10))
                #expect(try connection.links().filter(\.isOperational).count == 101)
            }
            withExtendedLifetime(pods) {}
        }
    }
}
