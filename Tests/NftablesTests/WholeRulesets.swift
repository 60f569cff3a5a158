import NetworkAddresses
import Nftables

extension Ruleset {
    /// What Istio puts into a pod by default (capture.md §3, §4), IPv6 off.
    static let istioDefault: Ruleset = {
        let tcp = Match(.metaL4proto, .proto(.tcp))
        let loopback = Match(.ipDaddr, .address(.loopbackIPv4))
        let notLoopback = Match(.ipDaddr, .notEqual, .address(.loopbackIPv4))
        let overLo = Match(.metaOifname, .interface("lo"))
        func owner(_ field: Field) -> [Rule] {
            [
                Rule(
                    overLo, tcp, notLoopback, Match(.tcpDport, .notEqual, .port(15008)), Match(field, .number(1337)),
                    Counter(), Verdict.jump("istio-in-redirect")),
                Rule(overLo, Match(field, .notEqual, .number(1337)), Counter(), Verdict.return),
                Rule(Match(field, .number(1337)), Counter(), Verdict.return),
            ]
        }
        let fromPassthrough = Match(.ipSaddr, .address(IPAddress(127, 0, 0, 6)))
        let output: [Rule] =
            [Rule(overLo, fromPassthrough, Counter(), Verdict.return)] + owner(.metaSkuid) + owner(.metaSkgid) + [
                Rule(loopback, Counter(), Verdict.return), Rule(Counter(), Verdict.jump("istio-redirect")),
            ]
        let excluded: [UInt16] = [15008, 15090, 15021, 15020]
        let inbound =
            excluded.map { Rule(tcp, Match(.tcpDport, .port($0)), Counter(), Verdict.return) } + [
                Rule(tcp, Counter(), Verdict.jump("istio-in-redirect"))
            ]
        return Ruleset(tables: [
            Table(
                name: "istio-proxy-nat",
                chains: [
                    Chain(
                        "prerouting", base: BaseChain(type: .nat, hook: .prerouting, priority: -100),
                        rules: [Rule(tcp, Counter(), Verdict.jump("istio-inbound"))]),
                    Chain(
                        "output", base: BaseChain(type: .nat, hook: .output, priority: -100),
                        rules: [Rule(Counter(), Verdict.jump("istio-output"))]),
                    Chain("istio-inbound", rules: inbound),
                    Chain("istio-redirect", rules: [Rule(tcp, Counter(), Redirect(to: 15001))]),
                    Chain("istio-in-redirect", rules: [Rule(tcp, Counter(), Redirect(to: 15006))]),
                    Chain("istio-output", rules: output),
                ])
        ])
    }()

    /// What a node may hold: policies by interface, sets of addresses of both families, services.
    static let node: Ruleset = {
        func pod(_ index: Int) -> [Chain] {
            [
                Chain(
                    "egress-\(index)",
                    rules: [
                        Rule(
                            Match([.ipDaddr, .metaL4proto, .thDport], in: "peers"), Counter(), Verdict.return,
                            comment: "NetworkPolicy default/p\(index) spec.egress[0], policy.yaml:\(index)"),
                        Rule(Match(.ip6Daddr, .named("peers6")), Match(.udpDport, .port(53)), Verdict.return),
                        Rule(Log(prefix: "drop egress pod \(index)", group: 7, snaplen: 128), Counter(), Verdict.drop),
                    ])
            ]
        }
        let service = IPEndpoint(IPAddress(10, 0, 0, 7), 8080)
        let service6 = IPEndpoint(IPAddress("fd00::7") ?? .anyIPv6, 8080)
        let tcp = Match(.metaL4proto, .proto(.tcp))
        return Ruleset(tables: [
            Table(
                name: "node",
                sets: [
                    NamedSet(
                        name: "peers", keys: [.ipv4Address, .inetProtocol, .inetService], flags: .interval,
                        elements: (0..<50).map { (index: UInt8) in
                            SetElement(
                                .prefix(IPPrefix(IPAddress(10, index, 0, 0), length: 16) ?? .allIPv4), .proto(.tcp),
                                .ports(PortRange(80, through: 80 + UInt16(index)) ?? PortRange(80)))
                        }),
                    NamedSet(
                        name: "peers6", keys: [.ipv6Address], flags: .interval,
                        elements: [SetElement(.prefix(IPPrefix("fd00::/64") ?? .allIPv6))]),
                    .verdictMap(
                        name: "egress", keys: [.interfaceName],
                        elements: (0..<20).map { SetElement(.interface("pod\($0)"), verdict: .jump("egress-\($0)")) }),
                    .verdictMap(
                        name: "services", keys: [.ipv4Address, .inetProtocol, .inetService],
                        elements: [
                            SetElement(
                                .address(IPAddress(10, 96, 0, 1)), .proto(.tcp), .port(80), verdict: .goto("service"))
                        ]),
                ],
                chains: [
                    Chain(
                        "prerouting", base: BaseChain(type: .nat, hook: .prerouting, priority: -100),
                        rules: [Rule(VerdictMap([.ipDaddr, .metaL4proto, .thDport], .named("services")))]),
                    Chain(
                        "forward", base: BaseChain(type: .filter, hook: .forward, priority: 0, policy: .drop),
                        rules: [
                            Rule(Match(.ctState, .ctState([.established, .related])), Counter(), Verdict.accept),
                            Rule(
                                Match(.icmpv6Type, .set([133, 134, 135, 136].map(Value.icmp))), Counter(),
                                Verdict.accept),
                            Rule(VerdictMap([.metaIifname], .named("egress"))),
                            Rule(Counter(), Verdict.accept),
                        ]),
                    Chain("service", rules: [Rule(NumGen([.goto("endpoint"), .goto("endpoint6")]))]),
                    Chain("endpoint", rules: [Rule(tcp, DNAT(to: service))]),
                    Chain("endpoint6", rules: [Rule(tcp, DNAT(to: service6))]),
                ] + (0..<20).flatMap(pod))
        ])
    }()
}
