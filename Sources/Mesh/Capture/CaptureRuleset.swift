import Manifests
import NetworkAddresses
package import Nftables

/// A pod's capture rules in Istio's own tables, chains and order (capture.md §1–4), for interception by REDIRECT.
///
/// They depend on the settings alone, so that pods with equal settings have equal rulesets.
package struct CaptureRuleset {
    /// Proxies' tunnel port; it is never captured.
    private static let tunnelPort: UInt16 = 15008
    private static let output = "istio-output"
    private static let inbound = "istio-inbound"
    private static let redirect = "istio-redirect"
    private static let inRedirect = "istio-in-redirect"
    private static let dropChain = "istio-drop"
    private static let outputDNS = "istio-output-dns"
    /// Connection tracking zones: what the agent asks of servers is told from what clients ask of the agent.
    private static let agentZone: UInt16 = 1
    private static let clientZone: UInt16 = 2

    private let settings: CaptureSettings

    /// The ruleset of a pod with these settings; empty for interception mode NONE.
    package static func plan(_ settings: CaptureSettings) -> Ruleset {
        guard settings.mode == .redirect else { return Ruleset() }
        return CaptureRuleset(settings: settings).ruleset
    }

    private init(settings: CaptureSettings) { self.settings = settings }

    private var ruleset: Ruleset {
        let nat = Self.table(
            "istio-proxy-nat",
            [
                Chain(
                    "prerouting", base: BaseChain(type: .nat, hook: .prerouting, priority: -100),
                    rules: natPrerouting),
                Chain("output", base: BaseChain(type: .nat, hook: .output, priority: -100), rules: natOutput),
                Chain(Self.inbound, rules: inboundRules),
                Chain(Self.redirect, rules: [redirection(to: settings.outboundPort)]),
                Chain(Self.inRedirect, rules: [redirection(to: settings.inboundPort)]),
                Chain(Self.output, rules: outputRules),
                Chain(Self.outputDNS, rules: dnsRedirections),
            ])
        let mangle = Self.table(
            "istio-proxy-mangle",
            [
                Chain(
                    "prerouting", base: BaseChain(type: .filter, hook: .prerouting, priority: -150),
                    rules: invalidRules),
                Chain(
                    Self.dropChain,
                    rules: settings.dropsInvalid
                        ? [Rule([Counter(), Verdict.drop], comment: origin("dropsInvalid"))] : []),
            ])
        let raw = Self.table(
            "istio-proxy-raw",
            settings.redirectsDNS
                ? [
                    Chain(
                        "prerouting", base: BaseChain(type: .filter, hook: .prerouting, priority: -300),
                        rules: [rule([], .jump(Self.inbound))]),
                    Chain(
                        "output", base: BaseChain(type: .filter, hook: .output, priority: -300),
                        rules: [rule([], .jump(Self.outputDNS))]),
                    Chain(Self.inbound, rules: answerZones),
                    Chain(Self.outputDNS, rules: queryZones),
                ] : [])
        return Ruleset(tables: [nat, mangle, raw].compactMap(\.self))
    }

    /// A chain with no rule is not created; a table with no rule is not created.
    private static func table(_ name: String, _ chains: [Chain]) -> Table? {
        let chains = chains.filter { !$0.rules.isEmpty }
        return chains.isEmpty ? nil : Table(name: name, chains: chains)
    }

    private func origin(_ setting: String) -> String? { settings.origins[setting]?.description }

    private func rule(_ matches: [any Statement], _ verdict: Verdict, from setting: String? = nil) -> Rule {
        Rule(matches + [Counter(), verdict], comment: setting.flatMap(origin))
    }

    private static let tcp = Match(.metaL4proto, .proto(.tcp))

    private func redirection(to port: UInt16) -> Rule { Rule([Self.tcp, Counter(), Redirect(to: port)]) }

    // MARK: Inbound

    private var natPrerouting: [Rule] {
        var rules = settings.excludeInterfaces.map {
            rule([Match(.metaIifname, .interface($0))], .return, from: "excludeInterfaces")
        }
        if settings.includeInboundPorts != .only([]) { rules.append(rule([Self.tcp], .jump(Self.inbound))) }
        return rules
    }

    private var inboundRules: [Rule] {
        func tcpPort(_ port: UInt16) -> [any Statement] { [Self.tcp, Match(.tcpDport, .port(port))] }
        var rules = [rule(tcpPort(Self.tunnelPort), .return)]
        switch settings.includeInboundPorts {
        case .all:
            rules += settings.excludeInboundPorts.map { port in
                let isDefault = CaptureSettings.alwaysExcludedInboundPorts.contains(port)
                return rule(tcpPort(port), .return, from: isDefault ? nil : "excludeInboundPorts")
            }
            rules.append(rule([Self.tcp], .jump(Self.inRedirect), from: "includeInboundPorts"))
        case .only(let ports):
            rules += ports.map { rule(tcpPort($0), .jump(Self.inRedirect), from: "includeInboundPorts") }
        }
        return rules
    }

    private var invalidRules: [Rule] {
        guard settings.dropsInvalid else { return [] }
        return [
            rule([Self.tcp, Match(.ctState, .ctState(.invalid))], .jump(Self.dropChain), from: "dropsInvalid")
        ]
    }

    // MARK: Outbound

    private var natOutput: [Rule] {
        settings.excludeInterfaces.map {
            rule([Match(.metaOifname, .interface($0))], .return, from: "excludeInterfaces")
        } + [rule([], .jump(Self.output))]
    }

    private static let onLoopback = Match(.metaOifname, .interface("lo"))

    private var outputRules: [Rule] {
        var rules: [Rule] = []
        for port in settings.excludeOutboundPorts {
            rules.append(rule([Match(.tcpDport, .port(port))], .return, from: "excludeOutboundPorts"))
            rules.append(rule([Match(.udpDport, .port(port))], .return, from: "excludeOutboundPorts"))
        }
        rules.append(rule([Self.onLoopback, Match(.ipSaddr, .address(IPAddress(127, 0, 0, 6)))], .return))
        if settings.isIPv6On {
            let source = IPAddress(family: .ipv6, value: 6)
            rules.append(rule([Self.onLoopback, Match(.ip6Saddr, .address(source))], .return))
        }
        for uid in settings.proxyUIDs { rules += proxyRules(.metaSkuid, uid) }
        for gid in settings.proxyGIDs { rules += proxyRules(.metaSkgid, gid) }
        rules += ownerGroupRules
        if settings.redirectsDNS { rules.append(rule([], .jump(Self.outputDNS), from: "capturesDNS")) }
        rules.append(rule([Match(.ipDaddr, .prefix(settings.loopbackRange))], .return, from: "loopbackRange"))
        if settings.isIPv6On { rules.append(rule([Match(.ip6Daddr, .address(.loopbackIPv6))], .return)) }
        rules += rangeRules(settings.excludeOutboundRanges, .return, from: "excludeOutboundRanges")
        rules += settings.includeOutboundPorts.map {
            rule([Match(.tcpDport, .port($0))], .jump(Self.redirect), from: "includeOutboundPorts")
        }
        switch settings.includeOutboundRanges {
        case .all: rules.append(rule([], .jump(Self.redirect), from: "includeOutboundRanges"))
        case .only(let ranges): rules += rangeRules(ranges, .jump(Self.redirect), from: "includeOutboundRanges")
        }
        return rules
    }

    /// The rules for the proxy's own packets, told by their user or their group.
    private func proxyRules(_ owner: Field, _ id: UInt32) -> [Rule] {
        // The agent may ask a DNS server in its own pod; Istio's rule for the group does not think of that.
        let mayAsk = settings.redirectsDNS && owner == .metaSkuid
        let ports: Match.RightHandSide =
            mayAsk ? .ports([LabConstants.dnsPort, Self.tunnelPort]) : .port(Self.tunnelPort)
        func toItself(_ notLoopback: Match) -> Rule {
            rule(
                [
                    Self.onLoopback, Self.tcp, notLoopback, Match(.tcpDport, .notEqual, ports),
                    Match(owner, .number(id)),
                ], .jump(Self.inRedirect))
        }
        var rules = [toItself(Match(.ipDaddr, .notEqual, .prefix(settings.loopbackRange)))]
        if settings.isIPv6On { rules.append(toItself(Match(.ip6Daddr, .notEqual, .address(.loopbackIPv6)))) }
        if !includesLoopback {
            let notDNS = [Self.tcp, Match(.tcpDport, .notEqual, .port(LabConstants.dnsPort))]
            rules.append(
                rule(
                    [Self.onLoopback] + (settings.redirectsDNS ? notDNS : []) + [Match(owner, .notEqual, .number(id))],
                    .return))
        }
        rules.append(rule([Match(owner, .number(id))], .return))
        return rules
    }

    /// Istio looks at the address as the range gives it: 0.0.0.0/0 does not count.
    private var includesLoopback: Bool {
        guard case .only(let ranges) = settings.includeOutboundRanges else { return false }
        return ranges.contains { $0.address.isLoopback }
    }

    private var ownerGroupRules: [Rule] {
        switch settings.includeOwnerGroups {
        case .all:
            return settings.excludeOwnerGroups.compactMap(UInt32.init).map {
                rule([Match(.metaSkgid, .number($0))], .return, from: "excludeOwnerGroups")
            }
        case .only(let groups):
            let others = groups.compactMap(UInt32.init).map { Match(.metaSkgid, .notEqual, .number($0)) }
            return [rule(others, .return, from: "includeOwnerGroups")]
        }
    }

    // MARK: DNS

    /// What holds for packets to, or from, the servers whose queries are captured; one without conditions for all.
    private func serverMatches(_ ipv4: Field, _ ipv6: Field) -> [[Match]] {
        switch settings.dnsServers {
        case .all: [[]]
        case .only(let servers): servers.map { [Match($0.family == .ipv4 ? ipv4 : ipv6, .address($0))] }
        }
    }

    private var dnsRedirections: [Rule] {
        guard settings.redirectsDNS else { return [] }
        let comment = origin("dnsServers") ?? origin("capturesDNS")
        let redirect: [any Statement] = [Counter(), Redirect(to: LabConstants.dnsAgentPort)]
        return [Field.tcpDport, .udpDport].flatMap { port in
            serverMatches(.ipDaddr, .ip6Daddr).map { server in
                Rule(server + [Match(port, .port(LabConstants.dnsPort))] + redirect, comment: comment)
            }
        }
    }

    private func zone(_ matches: [Match], _ zone: UInt16) -> Rule { Rule(matches + [Counter(), CTZoneSet(zone)]) }

    /// The first zone that a packet is given stays.
    private var queryZones: [Rule] {
        let query = Match(.udpDport, .port(LabConstants.dnsPort))
        let owners =
            settings.proxyUIDs.map { Match(.metaSkuid, .number($0)) }
            + settings.proxyGIDs.map { Match(.metaSkgid, .number($0)) }
        return owners.flatMap { owner in
            [
                zone([query, owner], Self.agentZone),
                zone([Match(.udpSport, .port(LabConstants.dnsAgentPort)), owner], Self.clientZone),
            ]
        } + serverMatches(.ipDaddr, .ip6Daddr).map { zone([query] + $0, Self.clientZone) }
    }

    private var answerZones: [Rule] {
        serverMatches(.ipSaddr, .ip6Saddr).map {
            zone([Match(.udpSport, .port(LabConstants.dnsPort))] + $0, Self.agentZone)
        }
    }

    // MARK: Ranges

    /// One rule a range, IPv4 ones first; IPv6 ones only where IPv6 is on.
    private func rangeRules(_ ranges: [IPPrefix], _ verdict: Verdict, from setting: String) -> [Rule] {
        let ipv4 = ranges.filter { $0.family == .ipv4 }.map { Match(.ipDaddr, .prefix($0)) }
        let ipv6 = ranges.filter { $0.family == .ipv6 }.map { Match(.ip6Daddr, .prefix($0)) }
        return (ipv4 + (settings.isIPv6On ? ipv6 : [])).map { rule([$0], verdict, from: setting) }
    }
}
