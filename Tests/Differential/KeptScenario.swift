import Evidence
import Foundation
import Manifests

/// A mesh that shows a difference, as a scenario that a person can read, keep and run: what the right side did is what
/// it expects.
struct KeptScenario {
    let mesh: GeneratedMesh
    let outcome: MeshComparer.Outcome

    var text: String {
        var mesh = mesh
        let flows = outcome.right.steps.flatMap(\.flows)
        for (position, flow) in mesh.flows.enumerated() {
            guard let result = flows.first(where: { $0.id == flow["id"]?.string }) else { continue }
            mesh.flows[position]["expect"] = Self.expectation(result.observed)
        }
        let commands = outcome.right.steps.flatMap(\.commands)
        for (position, result) in commands.enumerated() where position < mesh.commands.count {
            mesh.commands[position]["expect"] = [
                "exitCode": .number(result.exitCode), "stdout": .text(result.stdout),
            ]
        }
        let results = outcome.right.steps.flatMap(\.assertions)
        for (position, result) in results.enumerated() where position < mesh.assertions.count {
            guard let observed = result.observed else { continue }
            mesh.assertions[position]["atLeast"] = nil
            mesh.assertions[position]["equals"] = .number(Int(clamping: observed))
        }
        mesh.assertions += loggedValues
        return comment + mesh.scenario.document
    }

    /// Writes `scenario.yaml` into the folder.
    func write(to folder: URL) throws {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try text.write(to: folder.appendingPathComponent("scenario.yaml"), atomically: true, encoding: .utf8)
    }

    private var comment: String {
        let comparison = outcome.comparison
        let lines = comparison.findings.map { difference in
            "# \(difference.subject) \(difference.field): \(comparison.left.dataPlane) "
                + "\(Self.shown(difference.left)), \(comparison.right.dataPlane) \(Self.shown(difference.right))\n"
        }
        return lines.joined()
    }

    private static func shown(_ value: String?) -> String {
        guard let value else { return "-" }
        return (value.count > 300 ? value.prefix(300) + "…" : value).debugDescription
    }

    private static func expectation(_ observed: FlowResult.Observed) -> YAMLValue {
        var result: YAMLValue = ["outcome": .text(observed.outcome.rawValue)]
        if let by = observed.by { result["by"] = .text(by.rawValue) }
        if observed.outcome == .allowed { result["path"] = .texts(observed.path) }
        if let status = observed.status { result["status"] = .number(status) }
        return result
    }

    /// What differs in the access log, as the right side wrote it.
    private var loggedValues: [YAMLValue] {
        var list: [YAMLValue] = []
        for difference in outcome.comparison.findings {
            guard let value = difference.right,
                let match = difference.field.firstMatch(of: /^access-log\[\w+ ([^\] ]+)[^\]]*\]\.(\w+)$/)
            else { continue }
            let field = String(match.output.2)
            guard !["start_time", "duration"].contains(field), !value.contains("<port>") else { continue }
            let check: YAMLValue = .map([.init(key: field, value: .text(value))])
            list.append(["log": .text(String(match.output.1)), "contains": check])
        }
        return list
    }
}
