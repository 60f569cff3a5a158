import Manifests
import NetworkAddresses
import Nftables

/// Plans the world outside: whatever address is asked, the same few servers answer.
struct InternetPlanner {
    let hosts: [InternetHost]

    func plan() -> InternetPlan { InternetPlan(hosts: hosts, ruleset: Self.ruleset) }

    private static let fromCluster = Match(.metaIifname, .interface(LabConstants.nodeInterfaceInInternet))

    private static func redirection(_ match: Match, to port: UInt16) -> Rule {
        Rule(fromCluster, match, Counter(), Redirect(to: port))
    }

    private static let ruleset = Ruleset(tables: [
        Table(
            name: "egress-lab-internet",
            chains: [
                // Before addresses are translated, so that the log has the destination that was asked.
                Chain(
                    "arrival", base: BaseChain(type: .filter, hook: .prerouting, priority: -150),
                    rules: [
                        Rule(Match.linkControl, Verdict.return),
                        Rule(
                            fromCluster, Match(.ctState, .ctState(.notKnown)), Counter(),
                            Log(
                                prefix: "arrival", group: LabConstants.arrivalLogGroup,
                                snaplen: LabConstants.logSnapLength)),
                    ]),
                Chain(
                    "prerouting", base: BaseChain(type: .nat, hook: .prerouting, priority: -100),
                    rules: [
                        redirection(Match(.metaL4proto, .proto(.tcp)), to: LabConstants.internetTCPPort),
                        redirection(Match(.udpDport, .port(LabConstants.dnsPort)), to: LabConstants.dnsPort),
                        redirection(Match(.metaL4proto, .proto(.udp)), to: LabConstants.internetUDPPort),
                    ]),
            ])
    ])
}
