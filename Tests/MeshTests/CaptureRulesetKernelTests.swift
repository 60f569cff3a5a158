import Netlink
import Nftables
import TestSupport
import Testing

@Suite("Capture rules in the kernel", .requiresRoot)
struct CaptureRulesetKernelTests {
    @Test("nft loads the text, and lists what we install as that text", arguments: CaptureCase.all)
    func listedAsText(_ item: CaptureCase) throws {
        try expectListed(try #require(item.ruleset))
    }
}

/// Expects nft to list `ruleset` as its text, both when nft loaded the text and when we installed the rules.
func expectListed(_ ruleset: Ruleset, sourceLocation: SourceLocation = #_sourceLocation) throws {
    let loaded = try withScratchNamespace { namespace in
        try NftReference.load(ruleset.text, in: namespace)
        return try NftReference.listWithCounters(in: namespace)
    }
    #expect(
        loaded == ruleset.text, "loaded: \(Golden.difference(from: ruleset.text, to: loaded))",
        sourceLocation: sourceLocation)
    let installed = try withScratchNamespace { namespace in
        try namespace.enter { try NftablesConnection().install(ruleset) }
        return try NftReference.listWithCounters(in: namespace)
    }
    #expect(
        installed == ruleset.text, "installed: \(Golden.difference(from: ruleset.text, to: installed))",
        sourceLocation: sourceLocation)
}
