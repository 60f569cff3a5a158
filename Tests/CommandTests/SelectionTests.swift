import ArgumentParser
import Manifests
import Testing

@testable import egress_lab

@Suite struct SelectionTests {
    private func scenario(_ name: String, tags: [String] = []) -> Scenario {
        Scenario(name: name, tags: tags, file: "f", location: SourceLocation(file: "f"))
    }

    private func selected(_ arguments: [String]) throws -> [String] {
        let scenarios = [
            scenario("udp", tags: ["escape"]), scenario("uid-1337", tags: ["escape", "uid"]), scenario("timeout"),
        ]
        return try Selection.parse(arguments).selected(of: scenarios).map(\.name)
    }

    @Test("A filter is a glob over names, a tag is one of the scenario's")
    func filterAndTag() throws {
        #expect(try selected([]) == ["udp", "uid-1337", "timeout"])
        #expect(try selected(["--filter", "u*"]) == ["udp", "uid-1337"])
        #expect(try selected(["--tag", "uid"]) == ["uid-1337"])
        #expect(try selected(["--tag", "uid", "--tag", "escape"]) == ["udp", "uid-1337"])
        #expect(try selected(["--tag", "escape", "--filter", "udp"]) == ["udp"])
        #expect(try selected(["--skip-tag", "escape"]) == ["timeout"])
        #expect(try selected(["--tag", "escape", "--skip-tag", "uid"]) == ["udp"])
    }

    @Test("The shards of any count hold each scenario once")
    func shards() throws {
        for count in 1...5 {
            let all = try (1...count).flatMap { try selected(["--shard", "\($0)/\(count)"]) }
            #expect(all.sorted() == ["timeout", "udp", "uid-1337"])
        }
    }

    @Test("Scenarios' directories are distinct and stay inside the output", arguments: ["..", "a/b", "ü", ""])
    func folders(name: String) {
        var taken: Set<String> = []
        let folders = (0..<3).map { _ in OutputDirectory.folder(name, &taken) }
        #expect(Set(folders).count == 3)
        for folder in folders { #expect(!folder.contains("/") && folder != ".." && !folder.isEmpty) }
    }
}
