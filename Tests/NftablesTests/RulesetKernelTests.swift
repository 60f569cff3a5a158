import Netlink
import NetworkAddresses
import Nftables
import TestSupport
import Testing

/// The kernel and nft are the oracles of text and lowering.
@Suite("Rulesets in the kernel", .requiresRoot)
struct RulesetKernelTests {
    @Test("nft lists what we install as our text", arguments: RulesetCase.everything)
    func installedRulesetIsListedAsText(_ item: RulesetCase) throws {
        let listing = try withScratchNamespace { namespace in
            try namespace.enter { try NftablesConnection().install(item.ruleset) }
            return try NftReference.listWithCounters(in: namespace)
        }
        #expect(listing == item.ruleset.text, "\(Golden.difference(from: item.ruleset.text, to: listing))")
    }

    @Test("nft reads our text and lists it unchanged", arguments: RulesetCase.everything)
    func textIsListedAsText(_ item: RulesetCase) throws {
        let listing = try withScratchNamespace { namespace in
            try NftReference.load(item.ruleset.text, in: namespace)
            return try NftReference.listWithCounters(in: namespace)
        }
        #expect(listing == item.ruleset.text, "\(Golden.difference(from: item.ruleset.text, to: listing))")
    }

    @Test("installing again replaces the table")
    func installingReplaces() throws {
        let first = RulesetCase("", Verdict.drop).ruleset
        let second = RulesetCase("", Match(.tcpDport, .ports([1, 2])), Verdict.accept).ruleset
        try withScratchNamespace { namespace in
            try namespace.enter {
                let connection = try NftablesConnection()
                try connection.install(first)
                try connection.install(second)
            }
            #expect(try NftReference.listWithCounters(in: namespace) == second.text)
        }
    }

    @Test("removing leaves nothing, and removing nothing is no error")
    func removing() throws {
        let ruleset = RulesetCase.sets[6].ruleset
        try withScratchNamespace { namespace in
            try namespace.enter {
                let connection = try NftablesConnection()
                try connection.remove(ruleset)
                try connection.install(ruleset)
                try connection.remove(ruleset)
            }
            #expect(try NftReference.list(in: namespace).isEmpty)
        }
    }

    @Test("a built batch goes to any number of namespaces")
    func batchIsReusable() throws {
        let batch = try Ruleset.istioDefault.batch()
        for _ in 0..<3 {
            try withScratchNamespace { namespace in
                try namespace.enter {
                    let connection = try NftablesConnection()
                    try connection.install(batch)
                    try connection.install(batch)
                }
                #expect(try NftReference.listWithCounters(in: namespace) == batch.ruleset.text)
            }
        }
    }

    @Test("a refused rule is named with its text, and nothing is installed")
    func refusedRule() throws {
        let rules = [Rule(Verdict.accept), Rule(Match(.tcpDport, .port(80)), Verdict.jump("nowhere"))]
        let ruleset = RulesetCase("", rules: rules).ruleset
        try withScratchNamespace { namespace in
            try namespace.enter {
                let connection = try NftablesConnection()
                let error = try #require(throws: KernelError.self) { try connection.install(ruleset) }
                #expect(error.object == "table inet t, chain c, rule 2 (tcp dport 80 jump nowhere)")
                #expect(error.code == .notFound)
                // The connection still works.
                try connection.install(Ruleset.istioDefault)
                try connection.remove(Ruleset.istioDefault)
            }
            #expect(try NftReference.list(in: namespace).isEmpty)
        }
    }

    @Test("a rule for an owner meets just that owner's packets")
    func ownerRuleIsEnforced() throws {
        let rules = [
            Rule(Match(.metaL4proto, .proto(.tcp)), Match(.metaSkuid, .number(1337)), Counter(), Reject.tcpReset)
        ]
        try withScratchNamespace { namespace in
            let ruleset = RulesetCase("", rules: rules).ruleset
            try namespace.enter { try NftablesConnection().install(ruleset) }
            let refused = try namespace.enter(as: 1337, gid: 1337) { try Loopback.connectError(port: 9) }
            _ = try namespace.enter { try Loopback.connectError(port: 9) }
            #expect(refused != 0)
            let listing = try NftReference.listWithCounters(in: namespace)
            #expect(listing.contains("meta skuid 1337 counter packets 1 "), "\(listing)")
            #expect(try NftReference.list(in: namespace) == ruleset.statelessText)
        }
    }
}

extension RulesetCase {
    static let everything =
        statements + chains + sets + [
            RulesetCase("Istio's default capture", .istioDefault), RulesetCase("a node's policies", .node),
        ]

    init(_ name: String, _ ruleset: Ruleset) { (self.name, self.ruleset) = (name, ruleset) }
}
