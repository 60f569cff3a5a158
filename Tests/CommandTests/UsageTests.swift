import TestSupport
import Testing

@Suite struct UsageTests {
    @Test(
        "Wrong usage exits 2 and says so on standard error",
        arguments: [
            ["nonsense"], ["run"], ["run", "--format", "xml", "."], ["run", "--jobs", "0", "."],
            ["run", "--shard", "3/2", "."], ["run", "--data-plane", "other", "."], ["validate"], ["render"],
            ["render", "--what", "nothing", "."], ["proxy"], ["run", "--unknown", "."],
            ["run", "--compare", "other", "."], ["run", "--compare"],
            ["run", "--compare", "bundled", "--fail-fast", "."],
        ])
    func wrongUsage(arguments: [String]) throws {
        let run = try BuiltProgram.run(arguments)
        #expect(run.status == 2)
        #expect(run.output == "")
        #expect(!run.diagnostics.isEmpty)
    }

    @Test(
        "What comes with a later version is refused by name",
        arguments: [
            (["run", "--sarif", "f", "."], "--sarif"), (["run", "--html", "f", "."], "--html"),
            (["explain", ".", "--flow", "a"], "'explain'"), (["probe", "."], "'probe'"),
        ])
    func refusedByName(arguments: [String], name: String) throws {
        let run = try BuiltProgram.run(arguments)
        #expect(run.status == 2)
        #expect(run.diagnostics.contains(name))
        #expect(run.diagnostics.contains("later version"))
    }

    @Test(
        "Help and version go to standard output and exit 0", arguments: [["--help"], ["--version"], ["run", "--help"]])
    func help(arguments: [String]) throws {
        let run = try BuiltProgram.run(arguments)
        #expect(run.status == 0)
        #expect(!run.output.isEmpty)
        #expect(run.diagnostics == "")
    }

    @Test("Help lists the commands that exist, and no others")
    func commands() throws {
        let help = try BuiltProgram.run("--help").output
        for name in ["run", "validate", "render", "doctor", "proxy", "up", "exec", "stats"] {
            #expect(help.contains("\n  \(name) "))
        }
        for name in ["worker", "standing-lab", "probe", "explain"] { #expect(!help.contains("\n  \(name) ")) }
    }
}
