import Evidence
import Foundation
import Lab
import Manifests
import Mesh

/// Runs a mesh on two data planes and holds the results against each other. Needs root.
struct MeshComparer: Sendable {
    /// The data planes; Envoy's program is found once.
    struct Planes: Sendable {
        var left = Scenario.DataPlaneKind.bundled
        var right = Scenario.DataPlaneKind.envoy
        var envoy: String?
    }

    let planes: Planes
    let folder: ScratchFolder

    /// What both sides did, and where they differ.
    struct Outcome: Sendable {
        var comparison: ScenarioComparison
        var right: ScenarioResult
        /// Differences that the README lists.
        var knownCount = 0
        var flowCount: Int { right.steps.flatMap(\.flows).count }
    }

    /// - Parameter sideBySide: both planes at once, where nothing else runs.
    func compare(_ mesh: GeneratedMesh, sideBySide: Bool = false) async throws -> Outcome {
        let file = try folder.write(mesh)
        defer { folder.remove(file) }
        let jobs = [planes.left, planes.right].map { plane in
            SuiteJob(scenarioFile: file, name: mesh.name, dataPlane: plane, envoy: plane == .envoy ? planes.envoy : nil)
        }
        let outcome = await Suite(jobs: jobs, parallelism: sideBySide ? 2 : 1).run()
        let results = outcome.result.scenarios
        guard results.count == 2 else { throw ToolError("\(mesh.name): \(results.count) results of 2 data planes") }
        let comparison = ResultComparison().compare(results[0], results[1])
        return Outcome(
            comparison: comparison, right: results[1], knownCount: comparison.findings.count(where: known(in: mesh)))
    }

    /// Compares, and where there are differences again: until each has shown twice, or often enough not to.
    func compareUntilSure(_ mesh: GeneratedMesh) async throws -> (Outcome, Confirmation) {
        let first = try await compare(mesh)
        let leading = first.comparison.leadingFindings(except: known(in: mesh))
        var confirmation = Confirmation(first: leading, again: [])
        var again: [[Finding]] = []
        while !confirmation.isComplete, again.count < Confirmation.repetitions {
            again.append(try await compare(mesh).comparison.leadingFindings(except: known(in: mesh)))
            confirmation = Confirmation(first: leading, again: again)
        }
        return (first, confirmation)
    }

    /// What is known is how the bundled proxy differs from Envoy, in this order.
    private func known(in mesh: GeneratedMesh) -> (Finding) -> Bool {
        guard planes.left == .bundled, planes.right == .envoy else { return { _ in false } }
        let known = KnownDifferences(in: mesh)
        return { known.contains($0) }
    }

    /// What is wrong with a mesh as a scenario: for one just generated, a mistake of this program.
    func problems(of mesh: GeneratedMesh) throws -> [Diagnostic] {
        let file = try folder.write(mesh)
        defer { folder.remove(file) }
        let read = ScenarioReader.read(path: file)
        var found = read.diagnostics
        if let scenario = read.value, read.isUsable {
            var planner = LabPlanner(scenario: scenario)
            for moment in ScenarioTimeline(scenario) {
                found +=
                    planner.plan(
                        resources: moment.resources, mesh: moment.mesh, restarted: moment.restarted.map(\.value)
                    ).1
            }
        }
        return found.filter { $0.severity >= .unsupported }
    }
}

/// A folder for scenario files, gone at the end.
final class ScratchFolder: Sendable {
    private let url: URL

    init() throws {
        url = FileManager.default.temporaryDirectory
            .appendingPathComponent("egress-lab-differential-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: url) }

    /// The path of a scenario file with this mesh; each has a folder of its own, in which its commands run.
    func write(_ mesh: GeneratedMesh) throws -> String {
        let folder = url.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let file = folder.appendingPathComponent("scenario.yaml")
        try mesh.text.write(to: file, atomically: false, encoding: .utf8)
        return file.path
    }

    func remove(_ file: String) {
        try? FileManager.default.removeItem(at: URL(fileURLWithPath: file).deletingLastPathComponent())
    }
}

struct ToolError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
