import Foundation
import TestSupport
import Testing

@Suite struct InputTests {
    @Test("A good scenario validates with exit 0 and a summary")
    func valid() throws {
        try withDirectory(["scenario.yaml": Sample.scenario(), "pod.yaml": Sample.pod]) { directory in
            let run = try BuiltProgram.run("validate", directory)
            #expect(run.status == 0, "\(run.diagnostics)")
            #expect(run.output == "1 scenario: 0 errors, 0 refusals, 0 warnings\n")
        }
    }

    @Test("Plain manifests validate without a scenario")
    func manifests() throws {
        try withDirectory(["pod.yaml": Sample.pod]) { directory in
            for path in [directory, directory + "/pod.yaml"] {
                let run = try BuiltProgram.run("validate", path)
                #expect(run.status == 0, "\(run.diagnostics)")
                #expect(run.output == "1 object: 0 errors, 0 refusals, 0 warnings\n")
            }
        }
    }

    @Test(
        "Wrong input exits 2 with file:line:column, for validate and run alike",
        arguments: [
            ("yaml syntax", "kind: Scenario\n  x: [", ""),
            ("wrong type", Sample.scenario(manifests: "{a: 1}"), ""),
            ("unknown outcome", Sample.scenario(expect: "maybe"), ""),
            ("missing file", Sample.scenario(manifests: "[nowhere.yaml]"), ""),
            ("unknown workload", Sample.scenario(from: "default/nobody"), ""),
            ("cyclic alias", Sample.scenario(), "kind: Pod\nmetadata: &a {name: x, labels: *a}"),
            ("binary file", Sample.scenario(), "\u{0}\u{1}\u{2}ELF"),
        ])
    func wrongInput(name: String, scenario: String, pod: String) throws {
        try withDirectory(["scenario.yaml": scenario, "pod.yaml": pod.isEmpty ? Sample.pod : pod]) { directory in
            for command in ["validate", "run"] {
                let run = try BuiltProgram.run(command, directory)
                #expect(run.status == 2, "\(name): \(run.output)\(run.diagnostics)")
                #expect(run.diagnostics.contains(#/\.yaml:\d+:\d+: (error|unsupported): /#), "\(run.diagnostics)")
            }
        }
    }

    @Test("A path that does not exist exits 2", arguments: ["validate", "run", "render"])
    func noSuchPath(command: String) throws {
        let run = try BuiltProgram.run(command, "/nonexistent/scenario")
        #expect(run.status == 2)
        #expect(run.diagnostics.contains("/nonexistent/scenario"))
    }

    @Test("A refused run makes no output directory")
    func createsNothing() throws {
        try withDirectory(["scenario.yaml": Sample.scenario(expect: "maybe"), "pod.yaml": Sample.pod]) { directory in
            let run = try BuiltProgram.run("run", "--output", directory + "/out", directory)
            #expect(run.status == 2)
            #expect(!FileManager.default.fileExists(atPath: directory + "/out"))
        }
    }

    @Test("A filter that nothing matches is a mistake")
    func emptySelection() throws {
        try withDirectory(["scenario.yaml": Sample.scenario(), "pod.yaml": Sample.pod]) { directory in
            for option in ["--filter", "--tag"] {
                let run = try BuiltProgram.run("run", option, "nothing", directory)
                #expect(run.status == 2)
            }
        }
    }

    @Test("A configuration that is none exits 2 and says where")
    func wrongProxyConfiguration() throws {
        try withDirectory(["proxy.json": #"{"node": {"id": 3}}"#]) { directory in
            let run = try BuiltProgram.run("proxy", "--config", directory + "/proxy.json")
            #expect(run.status == 2)
            #expect(run.diagnostics.contains("proxy.json:1:1: error: "))
            #expect(run.diagnostics.contains("node.id"))
        }
    }
}
