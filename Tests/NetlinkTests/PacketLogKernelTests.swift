import Glibc
import Netlink
import NetworkAddresses
import TestSupport
import Testing

@Suite("Packet log", .requiresRoot)
struct PacketLogKernelTests {
    private static let rules = """
        table inet t {
            chain c {
                type filter hook output priority 0
                ct direction original log prefix "out" group 7 snaplen 96
            }
            chain d {
                type filter hook input priority 0
                log prefix "in" group 8
            }
        }
        """

    @Test("a datagram is reported with prefix, tuple, owner, interface and payload", arguments: IPFamily.allCases)
    func datagram(family: IPFamily) throws {
        try withScratchNamespace { namespace in
            try NftReference.load(Self.rules, in: namespace)
            let log = try namespace.enter { try PacketLog(groups: [7, 8]) }
            let to = IPEndpoint(family == .ipv4 ? .loopbackIPv4 : .loopbackIPv6, 5353)
            let socket = try namespace.enter(as: 1337, gid: 2000) { try ProbeSocket(family, SOCK_DGRAM) }
            try socket.send(Array("hello".utf8), to: to)
            let packets = try log.receive(timeout: .seconds(5))
            let out = try #require(packets.first { $0.group == 7 })
            let from = IPEndpoint(to.address, socket.localPort)
            #expect(out.prefix == "out" && out.tuple == FiveTuple(.udp, from: from, to: to))
            #expect(out.uid == 1337 && out.gid == 2000 && out.outInterface == 1 && out.sequence == 0)
            #expect(out.payload == Array("hello".utf8))
            #expect(packets.contains { $0.group == 8 && $0.prefix == "in" && $0.inInterface == 1 })
            #expect(log.lost == 0)
        }
    }

    @Test("a connection attempt shows its SYN, an echo request its identifier")
    func synAndEcho() throws {
        try withScratchNamespace { namespace in
            try NftReference.load(Self.rules, in: namespace)
            let log = try namespace.enter { try PacketLog(groups: [7]) }
            let target = IPEndpoint(.loopbackIPv4, 9)
            let client = try namespace.enter { try ProbeSocket(.ipv4, SOCK_STREAM) }
            #expect(throws: ProbeSocket.Failure.self) { try client.connect(to: target) }
            let syn = try #require(try log.receive(timeout: .seconds(5)).first)
            #expect(syn.tuple?.transport == .tcp && syn.tcpFlags == .syn && syn.tuple?.destination == target)
            let raw = try namespace.enter { try ProbeSocket(.ipv4, SOCK_RAW, Int32(IPPROTO_ICMP)) }
            try raw.send([8, 0, 0xf7, 0xc8, 0x00, 0x2a, 0, 0xd], to: IPEndpoint(.loopbackIPv4, 0))
            let echo = try #require(try log.receive(timeout: .seconds(5)).first)
            #expect(
                echo.tuple == FiveTuple(.icmp, from: IPEndpoint(.loopbackIPv4, 42), to: IPEndpoint(.loopbackIPv4, 0)))
        }
    }

    @Test("packets for which there was no room are counted, not forgotten")
    func overrunsAreCounted() throws {
        try withScratchNamespace { namespace in
            try NftReference.load(Self.rules, in: namespace)
            let log = try namespace.enter { try PacketLog(groups: [7], bufferSize: 4096) }
            let socket = try namespace.enter { try ProbeSocket(.ipv4, SOCK_DGRAM) }
            let to = IPEndpoint(.loopbackIPv4, 5353)
            let sent = 300
            // Each send is a flow in its original direction, as nothing answers.
            for _ in 0..<sent { try? socket.send([1], to: to) }
            let first = try log.receive()
            #expect(first.count < sent && log.lost == 1)
            try? socket.send([1], to: to)
            let last = try log.receive(timeout: .seconds(5))
            let sequence = try #require(last.last?.sequence)
            #expect(first.count + last.count + log.lost == Int(sequence) + 1)
        }
    }

    @Test("a group has one receiver; the refusal says so")
    func groupIsTaken() throws {
        try withScratchNamespace { namespace in
            try namespace.enter {
                let first = try PacketLog(groups: [7])
                let error = #expect(throws: KernelError.self) { try PacketLog(groups: [7]) }
                #expect(error?.object == "log group 7")
                #expect(error?.remedy?.contains("another receiver") == true)
                #expect(try first.receive().isEmpty)
            }
        }
    }
}
