import Evidence
import Foundation
import TestSupport
import Testing

/// `run --compare`: what it says, what it leaves, and how it ends.
@Suite(.serialized) struct ComparisonKernelTests {
    private let files = [
        "one/scenario.yaml": Sample.scenario(name: "one", tags: "[a]"), "one/pod.yaml": Sample.pod,
        "two/scenario.yaml": Sample.scenario(name: "two", expect: "denied"), "two/pod.yaml": Sample.pod,
    ]

    @Test("A data plane does not differ from itself", .requiresRoot)
    func itself() throws {
        try withDirectory(files) { directory in
            let run = try BuiltProgram.run("run", directory, "--compare", "bundled", "--filter", "one")
            #expect(run.status == 0, "\(run.diagnostics)")
            #expect(run.diagnostics == "")
            #expect(run.output.hasPrefix("= one  1 flow "))
            #expect(run.output.hasSuffix("\n1 scenario, 1 flow compared, 0 differences\n"))
        }
    }

    @Test("What both sides do and the scenario does not expect exits 1, though nothing differs", .requiresRoot)
    func unexpected() throws {
        try withDirectory(files) { directory in
            let run = try BuiltProgram.run("run", directory, "--compare", "bundled", "--format", "json")
            #expect(run.status == 1)
            let comparison = try JSONDecoder().decode(RunComparison.self, from: Data(run.output.utf8))
            #expect(comparison.scenarios.map(\.name) == ["one", "two"])
            #expect(comparison.summary.differences == 0)
            #expect(comparison.summary.unexpected == 1)
            let text = try BuiltProgram.run("run", directory, "--compare", "bundled", "--filter", "two")
            #expect(text.output.contains("Alike on both sides, but not what the scenarios expect:\n  - two a, "))
        }
    }

    @Test("Without the program that is compared with, nothing is run, and the exit status is 3", .requiresRoot)
    func noEnvoy() throws {
        try withDirectory(files) { directory in
            let run = try BuiltProgram.run(
                "run", directory, "--compare", "envoy", "--envoy", "/nonexistent/envoy", "--output", directory + "/out")
            #expect(run.status == 3)
            #expect(run.output == "")
            #expect(run.diagnostics.contains("/nonexistent/envoy"))
            #expect(!FileManager.default.fileExists(atPath: directory + "/out"))
        }
    }

    @Test("A side without a result exits 4, and is told", .requiresRoot)
    func failedLab() throws {
        try withDirectory(files) { directory in
            // A program that ends at once.
            let run = try BuiltProgram.run(
                "run", directory, "--compare", "envoy", "--envoy", "/bin/false", "--filter", "one")
            #expect(run.status == 4, "\(run.diagnostics)")
            #expect(run.output.contains("\n    ? envoy: "))
        }
    }

    @Test("--output has both sides whole and what differs; --junit has a case a flow", .requiresRoot)
    func output() throws {
        try withDirectory(files) { directory in
            let run = try BuiltProgram.run(
                "run", directory, "--compare", "bundled", "--tag", "a", "--output", directory + "/out", "--junit",
                directory + "/junit.xml")
            #expect(run.status == 0, "\(run.diagnostics)")
            func text(_ name: String) throws -> String {
                try String(contentsOfFile: "\(directory)/\(name)", encoding: .utf8)
            }
            #expect(try text("out/comparison.txt") == run.output)
            #expect(try text("out/comparison.json").contains("egress-lab/comparison/v1"))
            for side in ["left", "right"] {
                #expect(try text("out/\(side)/results.json").contains("egress-lab/results/v1"))
                #expect(try text("out/\(side)/one/default/sleep/access.log").contains("203.0.113.9"))
            }
            #expect(try text("junit.xml").contains(#"tests="1" failures="0" errors="0""#))
        }
    }
}
