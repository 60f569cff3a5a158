import Netlink
import NetworkAddresses
import Testing

@Suite("IP packets")
struct IPPacketParserTests {
    private static let ipv6 = IPAddress("fd00::1") ?? .anyIPv6

    /// An IPv4 header of 20 bytes: version and length, fragment at 6, protocol at 9, addresses at 12 and 16.
    private func ipv4(_ transport: UInt8, fragment: UInt8 = 0, _ rest: [UInt8]) -> [UInt8] {
        [0x45, 0, 0, 0, 0, 0, 0, fragment, 64, transport, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2] + rest
    }

    /// An IPv6 header of 40 bytes: next header at 6, addresses at 8 and 24.
    private func ipv6(_ next: UInt8, _ rest: [UInt8]) -> [UInt8] {
        [0x60, 0, 0, 0, 0, 0, next, 64] + Self.ipv6.bytes + IPAddress.loopbackIPv6.bytes + rest
    }

    @Test("TCP: ports, flags and payload behind the options")
    func tcp() {
        let header: [UInt8] =
            [0x01, 0xbb, 0, 80] + Array(repeating: 0, count: 8) + [0x60, 0x12, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]
        let packet = IPPacketParser(ipv4(6, header + [9]))
        #expect(packet.tuple?.description == "tcp 10.0.0.1:443 -> 10.0.0.2:80")
        #expect(packet.tcpFlags == [.syn, .ack] && packet.payloadOffset == 44)
    }

    @Test("IPv6 extension headers are skipped")
    func extensionHeaders() {
        let hopByHop: [UInt8] = [60, 1] + Array(repeating: 0, count: 14)
        let options: [UInt8] = [44, 0] + Array(repeating: 0, count: 6)
        let firstFragment: [UInt8] = [17, 0, 0, 1, 0, 0, 0, 1]
        let packet = IPPacketParser(ipv6(0, hopByHop + options + firstFragment + [0, 7, 0, 53, 0, 8, 0, 0]))
        #expect(packet.tuple?.description == "udp [fd00::1]:7 -> [::1]:53")
    }

    @Test("a later fragment has addresses, but no ports")
    func laterFragment() {
        let v4 = IPPacketParser(ipv4(17, fragment: 3, [0, 7, 0, 53, 0, 0, 0, 0]))
        #expect(v4.isLaterFragment && v4.tuple?.source.port == 0)
        let v6 = IPPacketParser(ipv6(44, [17, 0, 0, 8, 0, 0, 0, 1, 0, 7, 0, 53]))
        #expect(v6.isLaterFragment && v6.tuple?.description == "udp [fd00::1]:0 -> [::1]:0")
    }

    @Test("the identifier of an echo is the source port; other ICMP has none")
    func icmp() {
        #expect(IPPacketParser(ipv6(58, [128, 0, 0, 0, 1, 2, 0, 0])).tuple?.source.port == 0x102)
        #expect(IPPacketParser(ipv4(1, [3, 1, 0, 0, 1, 2, 0, 0])).tuple?.source.port == 0)
        #expect(IPPacketParser(ipv4(132, [0, 1, 0, 2] + Array(repeating: 0, count: 8))).tuple?.destination.port == 2)
    }

    @Test("no cut of a packet is read beyond its end")
    func cuts() {
        let whole = ipv6(0, [6, 0, 0, 0, 0, 0, 0, 0] + Array(repeating: 0x55, count: 20))
        for length in 0...whole.count {
            let packet = IPPacketParser(Array(whole.prefix(length)))
            #expect((packet.tuple != nil) == (length >= 40))
        }
        for length in 0...40 { _ = IPPacketParser(Array(repeating: 0x4f, count: length)) }
    }
}
