import Foundation
import Netlink
import TestSupport
import Testing

/// Plays what a person types at a terminal against a lab that stays up, and compares what comes back.
@Suite struct SessionKernelTests {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()
    private static let directory = root.appending(path: "scenarios/sessions")

    private static var sessions: [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory.path)) ?? []
        return names.filter { $0.hasSuffix(".session") }.sorted()
    }

    @Test("Sessions print what the documents show", .requiresRoot, arguments: sessions)
    func session(file: String) throws { try check(file, on: "bundled") }

    @Test("On real Envoy sessions print the same", .requiresRoot, .requiresEnvoy, arguments: sessions)
    func sessionOnEnvoy(file: String) throws { try check(file, on: "envoy") }

    private func check(_ file: String, on dataPlane: String) throws {
        let text = try String(contentsOf: Self.directory.appending(path: file), encoding: .utf8)
        let session = Session(text)
        try #require(!session.entries.isEmpty)
        let name = "test-\(dataPlane)-" + file.prefix { $0 != "." }
        let outputs = try play(session, in: String(name), on: dataPlane)
        try #require(outputs.count == session.entries.count)
        for (entry, output) in zip(session.entries, outputs) {
            #expect(
                Session.matches(output, entry.expected(on: dataPlane)),
                "\(file):\(entry.line), \(dataPlane): $ \(entry.command)\nexpected:\n\(entry.expected(on: dataPlane).joined(separator: "\n"))\nprinted:\n\(output.joined(separator: "\n"))"
            )
        }
    }

    /// What each command printed, both streams, line by line.
    private func play(_ session: Session, in lab: String, on dataPlane: String) throws -> [[String]] {
        let mark = "--- \(UUID().uuidString)"
        let program = "'\(BuiltProgram.executable.path)'"
        var script = """
            exec 2>&1
            kubectl() { egress-lab "$@"; }
            egress-lab() {
                if [ "$1" = up ]; then set -- "$@" --data-plane \(dataPlane); fi
                \(program) "$@"
            }

            """
        // Whatever happens, the lab goes.
        script += "trap 'egress-lab down >/dev/null 2>&1' EXIT\n"
        for entry in session.entries { script += "\(entry.command)\necho; echo '\(mark)'\n" }
        var specification = ChildSpecification("/bin/bash", ["-c", script])
        specification.environment = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "EGRESS_LAB_NAME=\(lab)", "NO_COLOR=1"]
        specification.workingDirectory = Self.root.path
        let output = try ChildProcess.run(specification, timeout: .seconds(120)).standardOutput
        return output.components(separatedBy: mark + "\n").dropLast().map { part in
            // The line break before the mark ends a last line that has none, or is an empty line of ours.
            var lines = part.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
            while lines.last == "" { lines.removeLast() }
            return lines
        }
    }
}

/// `$ command` lines with what they print; `@envoy line` is one that is printed with that data plane alone.
struct Session {
    struct Entry {
        var line: Int
        var command: String
        var lines: [String]

        /// The lines that it prints on a data plane: of those that begin with `@`, its own.
        func expected(on dataPlane: String) -> [String] {
            lines.compactMap { line in
                guard line.hasPrefix("@") else { return line }
                let own = "@\(dataPlane) "
                return line.hasPrefix(own) ? String(line.dropFirst(own.count)) : nil
            }
        }
    }

    private(set) var entries: [Entry] = []

    init(_ text: String) {
        for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            if line.hasPrefix("#") || line.isEmpty { continue }
            if line.hasPrefix("$ ") {
                entries.append(Entry(line: number + 1, command: String(line.dropFirst(2)), lines: []))
            } else if !entries.isEmpty {
                entries[entries.count - 1].lines.append(String(line))
            }
        }
    }

    /// True when the lines are as expected: `…` stands for any text within a line, `...` alone for any lines.
    static func matches(_ lines: [String], _ expected: [String]) -> Bool {
        guard let pattern = expected.first else { return lines.isEmpty }
        let rest = Array(expected.dropFirst())
        if pattern == "..." { return (0...lines.count).contains { matches(Array(lines.dropFirst($0)), rest) } }
        guard let line = lines.first, matches(line[...], pattern.components(separatedBy: "…")[...]) else {
            return false
        }
        return matches(Array(lines.dropFirst()), rest)
    }

    private static func matches(_ line: Substring, _ parts: ArraySlice<String>) -> Bool {
        guard let first = parts.first, line.hasPrefix(first) else { return false }
        var rest = line.dropFirst(first.count)
        for (index, part) in parts.dropFirst().enumerated() {
            if index == parts.count - 2 { return rest.hasSuffix(part) && rest.count >= part.count }
            guard let range = rest.firstRange(of: part) else { return false }
            rest = rest[range.upperBound...]
        }
        return rest.isEmpty
    }
}

@Suite struct SessionMatchingTests {
    @Test(
        "Patterns match what they should",
        arguments: [
            (["a b"], ["a b"], true), (["a b"], ["a …"], true), (["a"], ["a …"], false), (["x", "y"], ["..."], true),
            (["x", "y"], ["...", "y"], true), (["x", "y"], ["x"], false), ([], [], true),
            (["ab", "z"], ["a…", "z"], true),
            (["a1b2c"], ["a…b…c"], true), (["a1b2d"], ["a…b…c"], false),
        ] as [([String], [String], Bool)])
    func matching(lines: [String], expected: [String], result: Bool) {
        #expect(Session.matches(lines, expected) == result)
    }
}
