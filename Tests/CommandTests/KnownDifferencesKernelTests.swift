import Evidence
import Foundation
import Manifests
import TestSupport
import Testing

/// The scenarios that are left different on real Envoy: tagged `known-difference`, which `make differential` leaves out.
@Suite struct KnownDifferencesKernelTests {
    private let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    private var tagged: [Scenario] {
        ScenarioLocator.find(paths: [root.appending(path: "scenarios").path]).value
            .compactMap { ScenarioReader.read(path: $0).value }.filter { $0.tags.contains("known-difference") }
    }

    @Test("Each known difference has its line in the README")
    func isInReadme() throws {
        let readme = try String(contentsOf: root.appending(path: "README.md"), encoding: .utf8)
        let section = try #require(readme.components(separatedBy: "\n### Known differences\n").dropFirst().first)
            .components(separatedBy: "\n## ")[0]
        for scenario in tagged { #expect(section.contains("`\(scenario.name)`"), "\(scenario.name)") }
    }

    @Test("Each differs in exactly what the differences.txt beside it lists", .requiresRoot)
    func differsAsListed() throws {
        for scenario in tagged {
            let run = try BuiltProgram.run("run", scenario.file, "--compare", "envoy", "--format", "json")
            #expect(run.status == 1, "\(scenario.name): \(run.diagnostics)")
            let comparison = try JSONDecoder().decode(RunComparison.self, from: Data(run.output.utf8))
            let found = comparison.scenarios.flatMap(\.differences).map { difference in
                "\(difference.step): \(difference.subject): \(difference.field): "
                    + "\(difference.left ?? "none") | \(difference.right ?? "none")\n"
            }.joined()
            let file = URL(fileURLWithPath: scenario.file).deletingLastPathComponent()
                .appending(path: "differences.txt")
            let listed = (try? String(contentsOf: file, encoding: .utf8)) ?? ""
            #expect(
                found == listed, "\(file.path) (- listed, + found)\n\(Golden.difference(from: listed, to: found))")
        }
    }
}
