import Evidence
import Foundation
import Netlink
import TestSupport
import Testing

/// What a run leaves, where it says it, and how it is stopped.
@Suite(.serialized) struct RunKernelTests {
    private let files = [
        "one/scenario.yaml": Sample.scenario(name: "one", tags: "[a]"), "one/pod.yaml": Sample.pod,
        "with space/two/scenario.yaml": Sample.scenario(name: "two words", expect: "denied"),
        "with space/two/pod.yaml": Sample.pod,
    ]

    @Test(
        "--output has the whole run's results and each scenario's, with rules, configurations and logs by pod",
        .requiresRoot)
    func output() throws {
        try withDirectory(files) { directory in
            let run = try BuiltProgram.run(
                "run", directory, "--output", directory + "/out", "--junit", directory + "/reports/junit.xml")
            #expect(run.status == 1, "\(run.diagnostics)")
            let found = try FileManager.default.subpathsOfDirectory(atPath: directory + "/out").filter {
                !$0.hasPrefix(".") && ($0 as NSString).pathExtension != ""
            }
            let inEach = [
                "results.json", "report.txt", "node/ruleset.nft", "default/sleep/ruleset.nft",
                "default/sleep/proxy.json", "default/sleep/access.log", "kube-system/kube-dns/ruleset.nft",
            ]
            let expected =
                ["results.json", "report.txt"]
                + ["one", "two-words"].flatMap { scenario in
                    inEach.map { "\(scenario)/\($0)" }
                }
            #expect(Set(found) == Set(expected))
            func text(_ name: String) throws -> String {
                try String(contentsOfFile: "\(directory)/out/\(name)", encoding: .utf8)
            }
            #expect(try text("report.txt") == run.output)
            #expect(try text("one/default/sleep/ruleset.nft").contains("redirect to :15001"))
            #expect(try text("one/default/sleep/access.log").contains("203.0.113.9"))
            #expect(try text("one/kube-system/kube-dns/ruleset.nft") == "")
            let result = try JSONDecoder().decode(RunResult.self, from: Data(text("two-words/results.json").utf8))
            #expect(result.scenarios.map(\.name) == ["two words"])
            #expect(try text("../reports/junit.xml").contains("<testsuites"))
        }
    }

    @Test("Standard output carries the report and nothing else", .requiresRoot)
    func streams() throws {
        try withDirectory(files) { directory in
            let json = try BuiltProgram.run("run", directory, "--format", "json", "--filter", "one")
            #expect(json.status == 0 && json.diagnostics == "")
            let result = try JSONDecoder().decode(RunResult.self, from: Data(json.output.utf8))
            #expect(result.scenarios.map(\.name) == ["one"])
            let tap = try BuiltProgram.run("run", directory, "--format", "tap", "--tag", "a")
            #expect(tap.status == 0 && tap.diagnostics == "")
            #expect(tap.output.hasPrefix("TAP version 14\n1..1\nok 1 - one: only: a: "))
        }
    }

    @Test(
        "ctrl-C exits 130, SIGTERM 143, and no worker lives on", .requiresRoot,
        arguments: [(SIGINT, Int32(130)), (SIGTERM, Int32(143))])
    func interrupted(signal: Int32, status: Int32) throws {
        // Nobody answers for nine seconds: the run is under way when the signal comes.
        let slow = Sample.scenario(to: "http://slow.example/delay/9").replacing(
            "  steps:",
            with:
                "  internet: [{hosts: [slow.example], addresses: [203.0.113.9], ports: [{number: 80, protocol: HTTP}]}]\n  steps:"
        )
        try withDirectory(["scenario.yaml": slow, "pod.yaml": Sample.pod]) { directory in
            var specification = ChildSpecification(BuiltProgram.executable.path, ["run", directory])
            specification.environment = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
            let child = try ChildProcess.spawn(specification)
            let deadline = ContinuousClock.now + .seconds(10)
            while try workers(of: child.processID).isEmpty, ContinuousClock.now < deadline {}
            let running = try workers(of: child.processID)
            #expect(!running.isEmpty)
            try child.send(signal: signal)
            #expect(try child.wait(timeout: .seconds(5)) == .exited(code: status))
            while running.contains(where: isAlive), ContinuousClock.now < deadline {}
            #expect(!running.contains(where: isAlive))
        }
    }

    /// One that has ended has no command line, even while nobody has waited for it.
    private func isAlive(_ id: pid_t) -> Bool {
        FileManager.default.contents(atPath: "/proc/\(id)/cmdline")?.isEmpty == false
    }

    /// The processes that a process has started.
    private func workers(of id: pid_t) throws -> [pid_t] {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/\(id)/task").flatMap { thread in
            let path = "/proc/\(id)/task/\(thread)/children"
            return ((try? String(contentsOfFile: path, encoding: .utf8)) ?? "").split(separator: " ").compactMap {
                pid_t($0)
            }
        }
    }
}
