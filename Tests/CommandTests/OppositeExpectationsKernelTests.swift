import Evidence
import Foundation
import Manifests
import TestSupport
import Testing
import Yams

/// Every expectation of every scenario is able to fail: turned into its opposite, `run` exits 1 and names the flow.
@Suite(.serialized) struct OppositeExpectationsKernelTests {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("scenarios")
    static let scenarios = ScenarioLocator.find(paths: [root.path]).value

    @Test(
        "the opposite of each expectation fails, and nothing else does", .requiresRoot, arguments: 0..<Inverter.rounds)
    func oppositesFail(round: Int) throws {
        // One expectation of every flow, command and assertion is turned in a round: they are judged one by one.
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("opposites-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        // The whole tree, because scenarios use each other's manifests.
        try FileManager.default.copyItem(at: Self.root, to: folder)
        var turned: [String: Set<String>] = [:]
        for file in Self.scenarios {
            let text = try String(contentsOfFile: file, encoding: .utf8)
            var scenario = try #require(try Yams.load(yaml: text) as? [String: Any])
            var inverter = Inverter(folder: URL(fileURLWithPath: file).deletingLastPathComponent())
            try inverter.invert(&scenario, round: round)
            let name = String(file.dropFirst(Self.root.path.count + 1))
            let copy = folder.appendingPathComponent(name)
            guard !inverter.places.isEmpty else {
                try FileManager.default.removeItem(at: copy)
                continue
            }
            try Yams.dump(object: scenario).write(to: copy, atomically: true, encoding: .utf8)
            for (table, text) in inverter.tables {
                let place = copy.deletingLastPathComponent().appendingPathComponent(table)
                try text.write(to: place, atomically: true, encoding: .utf8)
            }
            turned[name] = inverter.places
        }
        #expect(!turned.isEmpty, "no scenario has so many expectations: lower Inverter.rounds")

        let run = try BuiltProgram.run("run", folder.path, "--format", "json", "--jobs", "2")
        #expect(run.status == 1, "\(run.diagnostics)")
        let results = try JSONDecoder().decode(RunResult.self, from: Data(run.output.utf8))
        for (name, places) in turned {
            let result = results.scenarios.first { $0.path.hasSuffix("/\(name)") }
            #expect(result?.result == .failed, "\(result?.name ?? name): \(result?.error ?? "")")
            #expect(result.map(failures) == places, "\(result?.name ?? name)")
        }
    }

    @Test("every expectation has its round", arguments: scenarios)
    func roundsSuffice(file: String) throws {
        let text = try String(contentsOfFile: file, encoding: .utf8)
        var scenario = try #require(try Yams.load(yaml: text) as? [String: Any])
        var inverter = Inverter(folder: URL(fileURLWithPath: file).deletingLastPathComponent())
        try inverter.invert(&scenario, round: Inverter.rounds)
        #expect(inverter.places.isEmpty)
        try inverter.invert(&scenario, round: 0)
        #expect(!inverter.places.isEmpty, "it expects nothing")
    }

    /// `step index/kind/index` of all that did not pass.
    private func failures(of scenario: ScenarioResult) -> Set<String> {
        var failed: Set<String> = []
        for (step, results) in scenario.steps.enumerated() {
            for (index, flow) in results.flows.enumerated() where !flow.passed {
                failed.insert("\(step)/flows/\(index)")
            }
            for (index, command) in results.commands.enumerated() where !command.passed {
                failed.insert("\(step)/commands/\(index)")
            }
            for (index, assertion) in results.assertions.enumerated() where !assertion.passed {
                failed.insert("\(step)/assert/\(index)")
            }
            if let matrix = results.matrix, !matrix.passed { failed.insert("\(step)/matrix") }
        }
        return failed
    }
}

/// Turns expectations of a scenario, as YAML gives it, into their opposites.
private struct Inverter {
    /// The most expectations that any one item of the scenarios has.
    static let rounds = 6

    /// Where the scenario's kept tables are.
    let folder: URL
    /// What was turned.
    private(set) var places: Set<String> = []
    /// The opposites of kept tables, by name.
    private(set) var tables: [String: String] = [:]

    init(folder: URL) { self.folder = folder }

    /// Turns the expectation number `round` of every item that has so many.
    mutating func invert(_ scenario: inout [String: Any], round: Int) throws {
        guard var spec = scenario["spec"] as? [String: Any], var steps = spec["steps"] as? [[String: Any]] else {
            return
        }
        for step in steps.indices {
            for (kind, turn) in [
                ("flows", Self.turnFlow), ("commands", Self.turnCommand), ("assert", Self.turnAssertion),
            ] {
                guard var items = steps[step][kind] as? [[String: Any]] else { continue }
                for index in items.indices where turn(&items[index], round) {
                    places.insert("\(step)/\(kind)/\(index)")
                }
                steps[step][kind] = items
            }
            if round == 0, var matrix = steps[step]["matrix"] as? [String: Any], let kept = matrix["expect"] as? String
            {
                let text = try String(contentsOf: folder.appendingPathComponent(kept), encoding: .utf8)
                let name = "opposite-\(step).txt"
                tables[name] = Self.oppositeTable(text)
                matrix["expect"] = name
                steps[step]["matrix"] = matrix
                places.insert("\(step)/matrix")
            }
        }
        spec["steps"] = steps
        scenario["spec"] = spec
    }

    /// Turns the first cell of a table whose lines are a name and cells, under a line of names.
    private static func oppositeTable(_ text: String) -> String {
        text.replacing(/(\n\S+ +)([.X])/, maxReplacements: 1) { match in
            "\(match.1)\(match.2 == "." ? "X" : ".")"
        }
    }

    private static func turnFlow(_ flow: inout [String: Any], _ round: Int) -> Bool {
        guard var expect = flow["expect"] as? [String: Any] else {
            guard round == 0, let outcome = flow["expect"] as? String else { return false }
            flow["expect"] = opposite(outcome)
            return true
        }
        let keys = ["outcome", "by", "path", "status", "headers", "body", "duration", "error"].filter {
            expect[$0] != nil
        }
        guard round < keys.count else { return false }
        switch keys[round] {
        case "outcome": expect["outcome"] = opposite(expect["outcome"] as? String ?? "")
        case "by": expect["by"] = (expect["by"] as? String) == "dns" ? "boundary" : "dns"
        case "path": expect["path"] = (expect["path"] as? [Any] ?? []) + ["sni-proxy"]
        case "status": expect["status"] = 299
        case "headers": expect["headers"] = ["x-no-such-header": "there"]
        case "body": expect["body"] = "no body has this text: 8f1c"
        case "duration": expect["duration"] = "100s..101s"
        default: expect["error"] = "no error has this text: 8f1c"
        }
        flow["expect"] = expect
        return true
    }

    private static func opposite(_ outcome: String) -> String { outcome == "allowed" ? "denied" : "allowed" }

    private static func turnCommand(_ command: inout [String: Any], _ round: Int) -> Bool {
        var expect = command["expect"] as? [String: Any] ?? [:]
        let keys =
            ["exitCode"]
            + ["stdout", "stderr", "stdoutContains", "stdoutLacks", "stderrContains"].filter {
                expect[$0] != nil
            }
        guard round < keys.count else { return false }
        switch keys[round] {
        case "exitCode": expect["exitCode"] = (expect["exitCode"] as? Int ?? 0) + 1
        case "stdoutLacks":
            // What is there can't be lacked: the empty text is in everything.
            expect["stdoutLacks"] = nil
            expect["stdoutContains"] = "no output has this text: 8f1c"
        default: expect[keys[round]] = "no output has this text: 8f1c"
        }
        command["expect"] = expect
        return true
    }

    private static func turnAssertion(_ assertion: inout [String: Any], _ round: Int) -> Bool {
        guard round == 0 else { return false }
        if let wanted = assertion["contains"] {
            assertion["contains"] = nil
            assertion["count"] = nil
            assertion["lacks"] = wanted
        } else if let unwanted = assertion["lacks"] {
            assertion["lacks"] = nil
            assertion["contains"] = unwanted
        } else if assertion["line"] != nil {
            assertion["line"] = "no line has this text: 8f1c"
        } else if let number = assertion["equals"] as? Int {
            assertion["equals"] = number + 1
        } else if assertion["atLeast"] != nil {
            assertion["atLeast"] = 1_000_000
        } else if let number = assertion["atMost"] as? Int {
            assertion["atMost"] = nil
            assertion["atLeast"] = number + 1
        }
        return true
    }
}
