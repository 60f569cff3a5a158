import Foundation
import NetworkAddresses
import Testing

@Suite("IP addresses")
struct IPAddressTests {
    @Test("reads and prints what inet_ntop prints", arguments: IPFamily.allCases)
    func agreesWithLibC(family: IPFamily) throws {
        var generator = SeededGenerator(seed: 1)
        for _ in 0..<300 {
            // Groups that are often zero exercise the "::" rule.
            var bytes = (0..<family.bitWidth / 8).map { _ in UInt8.random(in: 0...255, using: &generator) }
            for group in 0..<bytes.count / 2 where Int.random(in: 0..<3, using: &generator) > 0 {
                bytes[group * 2] = 0
                bytes[group * 2 + 1] = UInt8.random(in: 0...1, using: &generator)
            }
            let address = try #require(IPAddress(bytes: bytes))
            #expect(address.bytes == bytes)
            #expect(IPAddress(address.description) == address)
            var buffer = [CChar](repeating: 0, count: 64)
            inet_ntop(family == .ipv4 ? AF_INET : AF_INET6, bytes, &buffer, socklen_t(buffer.count))
            let expected = String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
            // inet_ntop also writes ::a.b.c.d, which RFC 5952 recommends for mapped addresses only.
            if family == .ipv4 || !expected.contains(".") || address.unmapped != address {
                #expect(address.description == expected)
            }
            #expect(IPAddress(expected) == address)
        }
    }

    @Test(
        "reads every spelling",
        arguments: [
            ("::", "::"), ("::1", "::1"), ("0:0:0:0:0:0:0:1", "::1"), ("1::", "1::"), ("FD00::00A", "fd00::a"),
            ("1:0:0:2:0:0:0:3", "1:0:0:2::3"), ("1:0:0:2:0:0:3:4", "1::2:0:0:3:4"),
            ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
            ("::ffff:10.0.0.1", "::ffff:10.0.0.1"), ("::10.0.0.1", "::a00:1"),
            ("1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"),
            ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"), ("0.0.0.0", "0.0.0.0"),
            ("255.255.255.255", "255.255.255.255"),
        ])
    func spellings(_ text: String, _ expected: String) {
        #expect(IPAddress(text)?.description == expected)
    }

    @Test(
        "refuses what is no address",
        arguments: [
            "", ":", ":::", "1", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.-4", "1.2.3.4 ", " 1.2.3.4",
            "1..2.3",
            "0x1.2.3.4", "1.2.3.٤", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "::1::", "1:::2",
            "12345::",
            "g::", "-1::", "+1::", "fe80::1%eth0", "::1.2.3", "1.2.3.4::", "::1.2.3.4:5", ":1::", "1::2:",
            "::ffff:1.2.3.04",
            "1:2:3:4:5:6:7:1.2.3.4", "[::1]", "1:2:3:4:5:6:7:8:",
        ])
    func refusals(_ text: String) {
        #expect(IPAddress(text) == nil)
    }

    @Test("kinds of addresses, at both edges")
    func kinds() {
        func check(_ property: KeyPath<IPAddress, Bool>, _ texts: [String], _ expected: Bool) {
            for text in texts { #expect(IPAddress(text)?[keyPath: property] == expected, "\(text)") }
        }
        check(\.isLoopback, ["127.0.0.0", "127.255.255.255", "::1"], true)
        check(\.isLoopback, ["126.255.255.255", "128.0.0.0", "::", "::2", "::ffff:127.0.0.1"], false)
        check(\.isLinkLocal, ["169.254.0.0", "169.254.255.255", "fe80::", "febf:ffff::"], true)
        check(\.isLinkLocal, ["169.253.0.0", "169.255.0.0", "fec0::", "fe7f::"], false)
        check(\.isMulticast, ["224.0.0.0", "239.255.255.255", "ff00::"], true)
        check(\.isMulticast, ["223.255.255.255", "240.0.0.0", "feff::"], false)
    }

    @Test("going on wraps within the family")
    func advancing() {
        #expect(IPAddress(255, 255, 255, 255).advanced(by: 2) == IPAddress(0, 0, 0, 1))
        #expect(IPAddress.anyIPv4.advanced(by: -1) == IPAddress(255, 255, 255, 255))
        #expect(IPAddress.anyIPv6.advanced(by: -1).description == "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
    }

    @Test("the order is by family, then by bits")
    func order() {
        var generator = SeededGenerator(seed: 2)
        for _ in 0..<300 {
            let a = IPAddress.random(IPFamily.allCases.randomElement(using: &generator) ?? .ipv4, using: &generator)
            let b = IPAddress.random(IPFamily.allCases.randomElement(using: &generator) ?? .ipv4, using: &generator)
            let (x, y) = (BitModel.bits(a).map { $0 ? 1 : 0 }, BitModel.bits(b).map { $0 ? 1 : 0 })
            #expect((a < b) == (a.family == b.family ? x.lexicographicallyPrecedes(y) : a.family == .ipv4))
        }
    }

    @Test("an endpoint is read and printed, IPv6 in brackets")
    func endpoints() {
        for text in ["192.0.2.1:80", "[::1]:65535", "[fd00::1]:0"] {
            #expect(IPEndpoint(text)?.description == text)
        }
        let wrong = [
            "192.0.2.1", "::1:80", "[::1]", "[::1]80", "192.0.2.1:65536", "192.0.2.1:-1", "192.0.2.1:+1",
            "[192.0.2.1]:80",
            "192.0.2.1:", ":80", "[::1:80", "192.0.2.1: 80",
        ]
        for text in wrong { #expect(IPEndpoint(text) == nil, "\(text)") }
    }

    @Test("values survive JSON")
    func coding() throws {
        let tuple = FiveTuple(
            .tcp, from: IPEndpoint(IPAddress(10, 0, 0, 1), 1), to: IPEndpoint(.loopbackIPv6, 2))
        #expect(try JSONDecoder().decode(FiveTuple.self, from: JSONEncoder().encode(tuple)) == tuple)
        let prefixes = [IPPrefix.allIPv4, .allIPv6, IPPrefix(.loopbackIPv6)]
        #expect(try JSONDecoder().decode([IPPrefix].self, from: JSONEncoder().encode(prefixes)) == prefixes)
        #expect(throws: DecodingError.self) { try JSONDecoder().decode(IPAddress.self, from: Data("\"x\"".utf8)) }
    }
}
