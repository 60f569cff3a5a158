import Netlink
import NetworkAddresses
import Nftables
import TestSupport
import Testing

@Suite("Rulesets as values")
struct RulesetTests {
    @Test("the text of whole rulesets", arguments: [("istio-default", Ruleset.istioDefault), ("node", .node)])
    func goldens(_ name: String, _ ruleset: Ruleset) {
        Golden.expect(ruleset.text, equals: "\(name).nft")
    }

    @Test("the text of all statements")
    func statementTexts() {
        // The tables of ICMP names are long, and the kernel tests cover them.
        let texts = RulesetCase.statements.filter { !$0.name.hasSuffix("in words") }.map {
            "# \($0.name)\n\($0.ruleset.text)"
        }
        Golden.expect(texts.joined(separator: "\n"), equals: "statements.nft")
    }

    @Test("equal rulesets are equal values, unequal ones are not")
    func equality() {
        for (index, item) in RulesetCase.statements.enumerated() {
            #expect(item.ruleset == RulesetCase.statements[index].ruleset)
            let different = RulesetCase.statements[(index + 1) % RulesetCase.statements.count]
            #expect(item.ruleset != different.ruleset)
        }
        #expect(Set(RulesetCase.statements.map(\.ruleset)).count == RulesetCase.statements.count)
    }

    @Test("a batch needs no namespace and is the same every time")
    func batchIsDeterministic() throws {
        #expect(try Ruleset.node.batch().byteCount == Ruleset.node.batch().byteCount)
        #expect(try Ruleset.istioDefault.batch().byteCount < 20_000)
    }

    @Test("what can't be is refused with its place and reason, before the kernel is asked")
    func refusals() {
        func message(_ statements: any Statement..., sets: [NamedSet] = []) -> String {
            do {
                _ = try RulesetCase("", rules: [Rule(statements)], sets: sets).ruleset.batch()
                return "accepted"
            } catch { return "\(error)" }
        }
        let place = "can't build table inet t, chain c, rule 1"
        #expect(
            message(Match(.ipDaddr, .address(.loopbackIPv6)))
                == "\(place) (ip daddr ::1): ip daddr ::1: the value does not fit the field's type")
        #expect(
            message(Match(.tcpDport, .port(1)), Match(.udpDport, .port(1)))
                == "\(place) (tcp dport 1 udp dport 1): udp dport: "
                + "the rule has matched another protocol or family before, so it could never match")
        #expect(
            message(Match(.ipDaddr, .named("x"))) == "\(place) (ip daddr @x): @x: the table has no such set")
        #expect(
            message(VerdictMap([.metaIifname], .named("x")), sets: [NamedSet(name: "x", keys: [.interfaceName])])
                == "\(place) (iifname vmap @x): @x: the table has no such verdict map")
        let long = NamedSet(
            name: "x", keys: [.interfaceName], elements: [SetElement(.interface("a-name-of-16-byt"))])
        #expect(
            message(sets: [long])
                == "can't build table inet t, set x: set x: element \"a-name-of-16-byt\" does not fit its type or flags"
        )
        let overlapping = NamedSet.verdictMap(
            name: "x", keys: [.ipv4Address], flags: .interval,
            elements: [
                SetElement(.prefix(.allIPv4), verdict: .drop), SetElement(.address(.loopbackIPv4), verdict: .accept),
            ])
        #expect(message(sets: [overlapping]).hasSuffix("set x: ranges with verdicts overlap"))
    }

    @Test("comments and prefixes are cut at a character's end and can't break out of their quotes")
    func quoting() {
        let rule = Rule(Verdict.accept, comment: "a\"; drop\n" + String(repeating: "ü", count: 100))
        let stored = rule.storedComment ?? ""
        #expect(stored.hasPrefix("a'; drop ü") && stored.utf8.count <= 127)
        #expect(Log(prefix: String(repeating: "日", count: 50), group: 1).prefix?.utf8.count == 126)
        #expect(Rule(Verdict.accept, comment: "").storedComment == nil)
    }
}
