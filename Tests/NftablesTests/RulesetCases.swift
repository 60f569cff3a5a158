import NetworkAddresses
import Nftables
import Testing

/// A named ruleset for the tests; each is checked against nft's own listing.
struct RulesetCase: Sendable, CustomTestStringConvertible {
    let name: String
    let ruleset: Ruleset
    var testDescription: String { name }

    /// One rule in an otherwise empty filter chain.
    init(_ name: String, _ statements: any Statement..., type: BaseChain.Kind = .filter) {
        self.init(name, rules: [Rule(statements)], type: type)
    }

    init(
        _ name: String, rules: [Rule], sets: [NamedSet] = [], type: BaseChain.Kind = .filter,
        hook: BaseChain.Hook = .output, priority: Int = 0, family: Table.Family = .inet
    ) {
        self.name = name
        let chains = [
            Chain("c", base: BaseChain(type: type, hook: hook, priority: priority), rules: rules), Chain("other"),
            Chain("more"),
        ]
        ruleset = Ruleset(tables: [Table(family: family, name: "t", sets: sets, chains: chains)])
    }
}

private func address(_ text: String) -> IPAddress { IPAddress(text) ?? .anyIPv4 }
private func prefix(_ text: String) -> IPPrefix { IPPrefix(text) ?? .allIPv4 }
private func range(_ first: UInt16, _ last: UInt16) -> PortRange { PortRange(first, through: last) ?? PortRange(first) }

extension RulesetCase {
    static let statements: [RulesetCase] = [
        RulesetCase("accept", Verdict.accept), RulesetCase("drop", Verdict.drop),
        RulesetCase("return", Verdict.return), RulesetCase("continue", Verdict.continue),
        RulesetCase("jump", Verdict.jump("other")), RulesetCase("goto", Verdict.goto("other")),
        RulesetCase("counter", Counter()),
        RulesetCase("log with everything", Log(prefix: "a b", group: 5, snaplen: 128)),
        RulesetCase("log to a group", Log(group: 0)),
        RulesetCase("a prefix too long is cut", Log(prefix: String(repeating: "é", count: 100), group: 1)),
        RulesetCase("a prefix with quotes and line feeds", Log(prefix: "a \"b\"\nc", group: 1)),
        RulesetCase("IPv4 address", Match(.ipDaddr, .prefix(prefix("192.0.2.1/32"))), Verdict.accept),
        RulesetCase("IPv4 prefix at a byte", Match(.ipSaddr, .prefix(prefix("10.0.0.0/8"))), Verdict.accept),
        RulesetCase("IPv4 prefix within a byte", Match(.ipDaddr, .notEqual, .prefix(prefix("172.16.0.0/12")))),
        RulesetCase("all of IPv4", Match(.ipDaddr, .prefix(.allIPv4))),
        RulesetCase("IPv4 range", Match(.ipDaddr, .value(.addresses(address("10.0.0.1")...address("10.0.0.9"))))),
        RulesetCase(
            "not an IPv4 range",
            Match(.ipDaddr, .notEqual, .value(.addresses(address("10.0.0.1")...address("10.0.0.9"))))),
        RulesetCase("IPv6 address", Match(.ip6Daddr, .prefix(prefix("::1/128"))), Verdict.return),
        RulesetCase("IPv6 address that looks like IPv4", Match(.ip6Saddr, .prefix(prefix("::6/128")))),
        RulesetCase("IPv6 prefix", Match(.ip6Saddr, .notEqual, .prefix(prefix("fd00::/9")))),
        RulesetCase("mapped IPv6", Match(.ip6Daddr, .address(address("::ffff:10.0.0.1")))),
        RulesetCase("compatible IPv6", Match(.ip6Daddr, .address(address("::10.0.0.1")))),
        RulesetCase("TCP port", Match(.tcpDport, .port(80)), Verdict.accept),
        RulesetCase("TCP ports", Match(.tcpSport, .ports(range(80, 90)))),
        RulesetCase("not these UDP ports", Match(.udpDport, .notEqual, .ports(range(1, 65535)))),
        RulesetCase("SCTP port", Match(.sctpSport, .port(7)), Match(.sctpDport, .port(8))),
        RulesetCase("set of one port", Match(.tcpDport, .ports([80]))),
        RulesetCase("set of ports", Match(.tcpDport, .notEqual, .ports([15008, 53, 53]))),
        RulesetCase("set of port ranges", Match(.tcpDport, .set([.port(80), .port(81), .ports(range(82, 90))]))),
        RulesetCase("set up to the highest port", Match(.tcpDport, .set([.ports(range(1024, 65535)), .port(0)]))),
        RulesetCase(
            "set of IPv4 prefixes that touch",
            Match(
                .ipDaddr,
                .set([.prefix(prefix("11.0.0.0/8")), .prefix(prefix("10.0.0.0/8")), .address(address("1.1.1.1"))]))
        ),
        RulesetCase("set of IPv6", Match(.ip6Daddr, .set([.prefix(prefix("fd00::/8")), .address(address("::1"))]))),
        RulesetCase("all of IPv4 in a set", Match(.ipDaddr, .set([.prefix(.allIPv4)]))),
        RulesetCase("multicast in a set", Match(.ipDaddr, .set([.prefix(prefix("224.0.0.0/3"))]))),
        RulesetCase("transport", Match(.metaL4proto, .proto(.tcp)), Counter(), Verdict.return),
        RulesetCase(
            "transport set", Match(.metaL4proto, .set([.proto(.udp), .proto(.tcp)])), Match(.thDport, .port(53))),
        RulesetCase("not TCP", Match(.metaL4proto, .notEqual, .proto(.tcp)), Verdict.accept),
        RulesetCase("ICMPv6 transport", Match(.metaL4proto, .proto(.icmpv6)), Verdict.accept),
        RulesetCase("SCTP transport", Match(.metaL4proto, .proto(.sctp)), Verdict.accept),
        RulesetCase("transport before its port", Match(.metaL4proto, .proto(.tcp)), Match(.tcpDport, .port(15008))),
        RulesetCase(
            "transport, address, port", Match(.metaL4proto, .proto(.tcp)),
            Match(.ipDaddr, .notEqual, .address(address("127.0.0.1"))),
            Match(.tcpDport, .notEqual, .port(15008)), Match(.metaSkuid, .number(1337))),
        RulesetCase("transport and any port", Match(.metaL4proto, .proto(.udp)), Match(.thDport, .port(53))),
        RulesetCase(
            "counter between transport and port", Match(.metaL4proto, .proto(.tcp)), Counter(),
            Match(.tcpDport, .port(5))),
        RulesetCase(
            "state between transport and port", Match(.metaL4proto, .proto(.tcp)),
            Match(.ctState, .ctState([.established])),
            Match(.tcpDport, .port(5))),
        RulesetCase("port before address", Match(.udpDport, .port(53)), Match(.ipDaddr, .address(address("10.0.0.1")))),
        RulesetCase("family", Match(.metaNfproto, .family(.ipv4)), Verdict.accept),
        RulesetCase(
            "family before its address", Match(.metaNfproto, .family(.ipv6)), Match(.ip6Daddr, .address(.loopbackIPv6))),
        RulesetCase("family and port", Match(.metaNfproto, .family(.ipv6)), Match(.tcpDport, .port(1))),
        RulesetCase("user", Match(.metaSkuid, .number(1337)), Verdict.return),
        RulesetCase(
            "not the group", Match(.metaSkgid, .notEqual, .number(2000)), Match(.metaSkgid, .notEqual, .number(7))),
        RulesetCase("users", Match(.metaSkuid, .set([.number(3), .number(256), .number(2)]))),
        RulesetCase(
            "interfaces", Match(.metaIifname, .interface("lo")), Match(.metaOifname, .notEqual, .interface("eth0"))),
        RulesetCase(
            "set of interfaces", Match(.metaIifname, .set([.interface("b1"), .interface("a2"), .interface("veth10")]))),
        RulesetCase("mark", Match(.metaMark, .number(1337)), Match(.ctMark, .notEqual, .number(5))),
        RulesetCase("state", Match(.ctState, .ctState([.related, .established])), Verdict.accept),
        RulesetCase("not in this state", Match(.ctState, .notEqual, .ctState([.new]))),
        RulesetCase("in none of these states", Match(.ctState, .notEqual, .ctState([.new, .established]))),
        RulesetCase("invalid", Match(.ctState, .ctState(.invalid)), Verdict.drop),
        RulesetCase("states as a set", Match(.ctState, .set([.ctState(.new), .ctState(.established)]))),
        RulesetCase("direction", Match(.ctDirection, .ctDirection(.reply))),
        RulesetCase("ICMP type", Match(.icmpType, .icmp(8)), Verdict.accept),
        RulesetCase("ICMPv6 types", Match(.icmpv6Type, .set([135, 136, 133, 134, 137].map(Value.icmp)))),
        RulesetCase(
            "ICMP after its family and transport",
            Match(.metaNfproto, .family(.ipv4)), Match(.metaL4proto, .proto(.icmp)), Match(.icmpType, .icmp(0))),
        RulesetCase("all ICMPv6 types in words", rules: (0...255).map { Rule(Match(.icmpv6Type, .icmp($0))) }),
        RulesetCase("all ICMP types in words", rules: (0...255).map { Rule(Match(.icmpType, .icmp($0))) }),
        RulesetCase("TCP reset", Match(.tcpDport, .port(80)), Reject.tcpReset),
        RulesetCase("TCP reset after the transport", Match(.metaL4proto, .proto(.tcp)), Reject.tcpReset),
        RulesetCase(
            "rejects",
            rules: [
                Rule(Reject.icmpx(.portUnreachable)), Rule(Reject.icmpx(.adminProhibited)),
                Rule(Reject.icmpx(.noRoute)), Rule(Reject.icmpx(.hostUnreachable)),
            ]),
        RulesetCase(
            "map of a rule's own",
            VerdictMap(
                [.tcpDport],
                .anonymous([
                    SetElement(.ports(range(90, 100)), verdict: .drop), SetElement(.port(80), verdict: .goto("other")),
                    SetElement(.port(81), verdict: .accept),
                ]))),
        RulesetCase(
            "map of addresses, transports and ports of a rule's own",
            VerdictMap(
                [.ipDaddr, .metaL4proto, .thDport],
                .anonymous([
                    SetElement(.address(address("10.96.0.10")), .proto(.udp), .port(53), verdict: .goto("other")),
                    SetElement(.address(address("10.96.0.1")), .proto(.tcp), .port(443), verdict: .goto("more")),
                ]))),
        RulesetCase(
            "transport before a map", Match(.metaL4proto, .proto(.tcp)),
            VerdictMap([.tcpDport], .anonymous([SetElement(.port(80), verdict: .drop)]))),
        RulesetCase(
            "transport before a map of addresses and ports", Match(.metaL4proto, .proto(.udp)),
            VerdictMap(
                [.ipDaddr, .thDport],
                .anonymous([SetElement(.address(address("10.0.0.1")), .port(80), verdict: .drop)]))),
        RulesetCase(
            "counter between the transport and any port", Match(.metaL4proto, .proto(.udp)), Counter(),
            Match(.thDport, .port(53))),
        RulesetCase(
            "log between family and address", Match(.metaNfproto, .family(.ipv4)), Log(group: 1),
            Match(.ipDaddr, .address(address("10.0.0.1")))),
        RulesetCase("random choice", NumGen([.goto("other"), .goto("more"), .jump("other")])),
        RulesetCase(
            "marks",
            rules: [
                Rule(MetaMarkSet.value(1337)), Rule(MetaMarkSet.ctMark), Rule(CTMarkSet.metaMark),
                Rule(CTMarkSet.value(7)),
            ]),
        RulesetCase("comment", rules: [Rule(Verdict.accept, comment: "ServiceEntry default/cnn, a.yaml:14")]),
        RulesetCase("long comment", rules: [Rule(Counter(), comment: String(repeating: "ü\"x", count: 60))]),
        RulesetCase(
            "zones",
            rules: [
                Rule(Match(.udpDport, .port(53)), Match(.metaSkuid, .number(1337)), Counter(), CTZoneSet(1)),
                Rule(NoTrack()),
            ], hook: .output, priority: -300),
        RulesetCase(
            "redirect",
            rules: [
                Rule(Match(.metaL4proto, .proto(.tcp)), Counter(), Redirect(to: 15001)),
                Rule(Match(.udpDport, .port(53)), Redirect(to: 15053)),
            ], type: .nat, priority: -100),
        RulesetCase(
            "destination",
            rules: [
                Rule(Match(.metaL4proto, .proto(.tcp)), Counter(), DNAT(to: IPEndpoint(address("10.0.0.1"), 80))),
                Rule(Match(.metaL4proto, .proto(.udp)), DNAT(to: IPEndpoint(address("fd00::1"), 53))),
                Rule(
                    Match(.ip6Daddr, .address(address("fd00::1"))), Match(.tcpDport, .port(1)),
                    DNAT(to: IPEndpoint(address("fd00::2"), 2))),
            ], type: .nat, hook: .prerouting, priority: -100),
        RulesetCase(
            "transparent proxy",
            rules: [
                Rule(
                    Match(.metaL4proto, .proto(.tcp)), Match(.ipDaddr, .notEqual, .address(.loopbackIPv4)), Counter(),
                    TProxy(family: .ipv4, to: 15006), MetaMarkSet.value(1337), Verdict.accept),
                Rule(Match(.metaL4proto, .proto(.tcp)), TProxy(to: 15006)),
                Rule(Match(.metaL4proto, .proto(.udp)), TProxy(family: .ipv6, to: 15006)),
            ], hook: .prerouting, priority: -150),
        RulesetCase(
            "a rule in an IPv4 table",
            rules: [
                Rule(Match(.ipDaddr, .prefix(prefix("10.0.0.0/9"))), Match(.tcpDport, .port(1)))
            ], family: .ip),
        RulesetCase(
            "a rule in an IPv6 table",
            rules: [
                Rule(Match(.ip6Daddr, .prefix(prefix("fd00::/8"))), Match(.icmpv6Type, .icmp(128)))
            ], family: .ip6),
    ]

    static let chains: [RulesetCase] =
        [-310, -301, -300, -150, -149, -101, -100, -99, -90, 0, 5, 10, 11, 50, 100, 110].flatMap { priority in
            BaseChain.Hook.all.map {
                RulesetCase("priority \(priority) at \($0.rawValue)", rules: [], hook: $0, priority: priority)
            }
        } + [
            RulesetCase("route chain", rules: [], type: .route, priority: -150),
            RulesetCase("source translation", rules: [], type: .nat, hook: .postrouting, priority: 100),
        ]

    static let sets: [RulesetCase] = [
        RulesetCase(
            "empty sets",
            rules: [
                Rule(Match(.ipDaddr, .named("a"))), Rule(Match(.ip6Daddr, .notEqual, .named("b")), Verdict.drop),
            ],
            sets: [
                NamedSet(name: "a", keys: [.ipv4Address], flags: .interval), NamedSet(name: "b", keys: [.ipv6Address]),
                .verdictMap(name: "m", keys: [.interfaceName]),
            ]),
        RulesetCase(
            "interval set of IPv4", rules: [Rule(Match(.ipSaddr, .named("a")), Counter(), Verdict.accept)],
            sets: [
                NamedSet(
                    name: "a", keys: [.ipv4Address], flags: .interval,
                    elements: [
                        "10.0.0.0/8", "192.168.1.1/32", "224.0.0.0/4", "1.2.3.0/24", "1.2.3.4/32", "1.2.4.0/24",
                    ].map { SetElement(.prefix(prefix($0))) } + [
                        SetElement(.addresses(address("172.16.0.0")...address("172.16.0.5")))
                    ])
            ]),
        RulesetCase(
            "interval set of all IPv4", rules: [],
            sets: [
                NamedSet(name: "a", keys: [.ipv4Address], flags: .interval, elements: [SetElement(.prefix(.allIPv4))])
            ]),
        RulesetCase(
            "interval set of IPv6", rules: [Rule(Match(.ip6Saddr, .named("a")))],
            sets: [
                NamedSet(
                    name: "a", keys: [.ipv6Address], flags: .interval,
                    elements: [
                        "2001:db8::/32", "fd00::1/128", "::/3", "ff00::/8",
                    ].map { SetElement(.prefix(prefix($0))) })
            ]),
        RulesetCase(
            "sets of many addresses", rules: [],
            sets: [
                NamedSet(
                    name: "a", keys: [.ipv4Address],
                    elements: (0..<1000).map { SetElement(.address(IPAddress(ipv4: 0x0a000000 + $0 * 7919 % 65536))) }),
                NamedSet(
                    name: "b", keys: [.ipv6Address], flags: .interval,
                    elements: (0..<700).map {
                        SetElement(.address(IPAddress(family: .ipv6, value: UInt128(0xfd) << 120 + UInt128($0 * 2))))
                    }),
            ]),
        RulesetCase(
            "sets of ports, users, marks and transports", rules: [],
            sets: [
                NamedSet(
                    name: "a", keys: [.inetService], elements: (1...11).reversed().map { SetElement(.port($0 * 300)) }),
                NamedSet(
                    name: "b", keys: [.inetService], flags: .interval,
                    elements: [
                        SetElement(.port(1)), SetElement(.ports(range(20, 30))),
                        SetElement(.ports(range(60000, 65535))),
                    ]),
                NamedSet(name: "c", keys: [.uid], elements: [1000, 1337, 3, 70000].map { SetElement(.number($0)) }),
                NamedSet(name: "d", keys: [.mark], elements: [1, 2, 3, 256, 5, 6].map { SetElement(.number($0)) }),
                NamedSet(
                    name: "e", keys: [.inetProtocol], elements: [SetElement(.proto(.udp)), SetElement(.proto(.tcp))]),
            ]),
        RulesetCase(
            "addresses and ports",
            rules: [
                Rule(Match([.ipDaddr, .tcpDport], in: "a"), Counter(), Verdict.accept),
                Rule(Match([.ip6Daddr, .tcpDport], .notEqual, in: "b"), Counter(), Verdict.drop),
                Rule(Match(.metaL4proto, .proto(.tcp)), Match([.ipDaddr, .thDport], in: "a")),
                Rule(Match([.ipSaddr, .metaL4proto, .thDport], in: "c")),
                Rule(Match([.ip6Saddr, .metaL4proto, .thDport], in: "d"), Verdict.jump("more")),
            ],
            sets: [
                NamedSet(
                    name: "a", keys: [.ipv4Address, .inetService], flags: .interval,
                    elements: [
                        SetElement(.prefix(prefix("192.168.0.0/16")), .port(443)),
                        SetElement(.prefix(prefix("10.0.0.0/8")), .ports(range(80, 90))),
                        SetElement(.addresses(address("1.2.3.4")...address("1.2.3.9")), .ports(range(1024, 2047))),
                        SetElement(.address(address("1.1.1.1")), .ports(range(0, 65535))),
                        SetElement(.prefix(.allIPv4), .port(53)),
                    ]),
                NamedSet(
                    name: "b", keys: [.ipv6Address, .inetService], flags: .interval,
                    elements: [
                        SetElement(.prefix(prefix("fd00::/8")), .port(443)),
                        SetElement(.address(address("::1")), .port(443)),
                    ]),
                NamedSet(
                    name: "c", keys: [.ipv4Address, .inetProtocol, .inetService], flags: .interval,
                    elements: [
                        SetElement(.prefix(prefix("10.0.0.0/8")), .proto(.udp), .ports(range(53, 54))),
                        SetElement(.prefix(prefix("10.0.0.0/8")), .proto(.tcp), .ports(range(1, 65535))),
                    ]),
                NamedSet(
                    name: "d", keys: [.ipv6Address, .inetProtocol, .inetService],
                    elements: [
                        SetElement(.address(address("fd00::1")), .proto(.udp), .port(53)),
                        SetElement(.address(address("fd00::2")), .proto(.tcp), .port(53)),
                    ]),
            ]),
        RulesetCase(
            "sets that rules fill",
            rules: [
                Rule(Match([.ipSaddr], in: "near"), Verdict.goto("other")),
                Rule(SetUpdate(.ipSaddr, in: "near"), Verdict.goto("more")),
                Rule(SetUpdate(.ip6Saddr, in: "far")),
            ],
            sets: [
                .dynamic(name: "near", key: .ipv4Address, timeoutSeconds: 10_800),
                .dynamic(name: "far", key: .ipv6Address, timeoutSeconds: 90_061),
            ]),
        RulesetCase(
            "maps of interfaces and services",
            rules: [
                Rule(VerdictMap([.metaIifname], .named("m"))),
                Rule(VerdictMap([.ipDaddr, .metaL4proto, .thDport], .named("s"))),
                Rule(VerdictMap([.ip6Daddr, .metaL4proto, .thDport], .named("s6"))),
                Rule(VerdictMap([.ipDaddr], .named("i"))),
            ],
            sets: [
                .verdictMap(
                    name: "m", keys: [.interfaceName],
                    elements: (0..<40).map {
                        SetElement(.interface("v\($0 * 7 % 40)"), verdict: $0 % 2 == 0 ? .jump("other") : .goto("more"))
                    }),
                .verdictMap(
                    name: "s", keys: [.ipv4Address, .inetProtocol, .inetService],
                    elements: (0..<60).map { (index: UInt32) in
                        SetElement(
                            .address(IPAddress(ipv4: 0x0a600000 + index * 7919 % 1000)),
                            .proto(index % 2 == 0 ? .tcp : .udp),
                            .port(UInt16(index * 977 % 7000)), verdict: .goto("other"))
                    }),
                .verdictMap(
                    name: "s6", keys: [.ipv6Address, .inetProtocol, .inetService],
                    elements: [
                        SetElement(.address(address("fd00::2")), .proto(.tcp), .port(80), verdict: .goto("other")),
                        SetElement(.address(address("fd00::1")), .proto(.tcp), .port(443), verdict: .goto("more")),
                    ]),
                .verdictMap(
                    name: "i", keys: [.ipv4Address], flags: .interval,
                    elements: [
                        SetElement(.prefix(prefix("10.0.1.0/24")), verdict: .drop),
                        SetElement(.prefix(prefix("10.0.0.0/24")), verdict: .accept),
                        SetElement(.address(address("10.0.3.1")), verdict: .jump("more")),
                    ]),
            ]),
    ]
}

extension BaseChain.Hook {
    static let all: [BaseChain.Hook] = [.prerouting, .input, .forward, .output, .postrouting]
}
