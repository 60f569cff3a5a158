import Envoy
import Evidence
import Foundation
import Manifests

/// Generates the meshes, compares them, and makes what differs small.
struct DifferentialRun {
    /// A mesh that differs.
    private struct Found: Sendable {
        var index: Int
        var mesh: GeneratedMesh
        var outcome: MeshComparer.Outcome
        var confirmation: Confirmation
    }

    /// Differences of one kind.
    private struct Group {
        var kind: DifferenceKind
        var example: Found
        var difference: Finding
        var indexes: [Int]
    }

    private let options: Options
    private let comparer: MeshComparer

    init(_ options: Options) throws {
        self.options = options
        var planes = MeshComparer.Planes(left: options.left, right: options.right)
        if [options.left, options.right].contains(.envoy) {
            planes.envoy = try EnvoyLocator(path: options.envoy).find()
        }
        comparer = MeshComparer(planes: planes, folder: try ScratchFolder())
    }

    /// False when there were differences.
    func run() async throws -> Bool {
        let (found, flows, known) = try await compareAll()
        let differences = found.flatMap(\.confirmation.confirmed).count
        let groups = groups(of: found)
        for (position, group) in groups.enumerated() {
            print(description(of: group))
            if position < options.shrink { try await keep(group) }
        }
        let unstable = found.flatMap { one in one.confirmation.unstable.map { (one.index, $0) } }
        for (index, finding) in unstable {
            let (left, right) = finding.distinctLines
            print(
                "unstable, in one run of several: mesh \(index), \(finding.subject), \(finding.field): "
                    + "\(options.left.rawValue) \(left), \(options.right.rawValue) \(right)")
        }
        print(
            "seed \(options.seed): \(options.count) meshes, \(flows) flows, \(differences) differences"
                + (known == 0 ? "" : ", \(known) known") + (unstable.isEmpty ? "" : ", \(unstable.count) unstable"))
        return differences == 0
    }

    // MARK: Comparing

    private func compareAll() async throws -> (found: [Found], flows: Int, known: Int) {
        var found: [Found] = []
        var (done, flows, known) = (0, 0, 0)
        let (comparer, seed) = (comparer, options.seed)
        let progress = ProgressLine()
        try await withThrowingTaskGroup(of: Found.self) { group in
            var indexes = (options.first..<options.first + options.count).makeIterator()
            func addNext() {
                guard let index = indexes.next() else { return }
                group.addTask {
                    let mesh = MeshGenerator.mesh(seed: seed, index: index)
                    if let problem = try comparer.problems(of: mesh).first {
                        throw GeneratorError("seed \(seed), mesh \(index) is no good scenario: \(problem)")
                    }
                    let (outcome, confirmation) = try await comparer.compareUntilSure(mesh)
                    return Found(index: index, mesh: mesh, outcome: outcome, confirmation: confirmation)
                }
            }
            for _ in 0..<options.jobs { addNext() }
            for try await one in group {
                done += 1
                flows += one.outcome.flowCount
                known += one.outcome.knownCount
                if one.confirmation != Confirmation(first: [], again: []) {
                    found.append(one)
                    progress.note("mesh \(one.index): \(one.confirmation)")
                }
                progress.show("\(done)/\(options.count) meshes, \(flows) flows, \(found.count) meshes differ")
                addNext()
            }
        }
        progress.clear()
        return (found.sorted { $0.index < $1.index }, flows, known)
    }

    /// The kinds of difference, the most frequent first.
    private func groups(of found: [Found]) -> [Group] {
        var groups: [DifferenceKind: Group] = [:]
        for one in found {
            for difference in one.confirmation.confirmed {
                let kind = DifferenceKind(difference)
                groups[kind, default: Group(kind: kind, example: one, difference: difference, indexes: [])]
                    .indexes.append(one.index)
            }
        }
        return groups.values.sorted { ($1.indexes.count, $0.kind) < ($0.indexes.count, $1.kind) }
    }

    private func description(of group: Group) -> String {
        let list = group.indexes.prefix(12).map { "\($0)" }.joined(separator: ", ")
        let subject = group.difference.subject
        let flow = group.example.mesh.flows.first { $0["id"]?.string == subject }
        var lines = [
            "\(group.indexes.count) × \(group.kind)",
            "    meshes \(list)\(group.indexes.count > 12 ? ", …" : "")",
            "    mesh \(group.example.index): \(flow.map { shown($0) } ?? subject)",
        ]
        for finding in group.example.outcome.comparison.findings where finding.subject == subject {
            let (left, right) = finding.distinctLines
            lines.append(
                "        \(finding.field): \(options.left.rawValue) \(left), \(options.right.rawValue) \(right)")
        }
        return lines.joined(separator: "\n")
    }

    private func shown(_ flow: YAMLValue) -> String {
        var flow = flow
        flow["expect"] = nil
        return String(flow.inline.prefix(400))
    }

    // MARK: Shrinking

    private func keep(_ group: Group) async throws {
        let (comparer, kind) = (comparer, group.kind)
        let progress = ProgressLine()
        let shrinker = Shrinker(
            limit: options.tries, reductions: GeneratedMesh.reductions,
            isSensible: { ((try? comparer.problems(of: $0)) ?? []).isEmpty && !($0.flows + $0.commands).isEmpty })
        var first = group.example.mesh
        first.name = "differential-\(options.seed)-\(group.example.index)"
        first.title = "\(kind)"
        // What depends on the moment can't be made small: each smaller mesh would pass for one that matters or not.
        guard let again = try? await comparer.compare(first, sideBySide: true),
            again.comparison.findings.contains(where: { DifferenceKind($0) == kind })
        else {
            print("    it did not show again in a second run")
            return
        }
        var smallest = again
        var tries = 0
        let result = await shrinker.shrink(first) { candidate in
            tries += 1
            progress.show("shrinking mesh \(group.example.index): try \(tries)")
            guard let outcome = try? await comparer.compare(candidate, sideBySide: true),
                outcome.comparison.findings.contains(where: { DifferenceKind($0) == kind })
            else { return false }
            smallest = outcome
            return true
        }
        progress.clear()
        let kept = KeptScenario(mesh: result.value, outcome: smallest)
        let folder = folder(for: group.example.index)
        try kept.write(to: folder)
        let end = result.isMinimal ? "nothing more can be left out" : "the limit of tries is reached"
        print("    smallest: \(folder.path)/scenario.yaml (\(result.tries) tries, \(end))")
    }

    /// One that has no scenario yet of another kind of this run.
    private func folder(for index: Int) -> URL {
        let root = URL(fileURLWithPath: options.keep)
        let taken = kept.names
        var name = "\(options.seed)-\(index)"
        var number = 2
        while taken.contains(name) {
            name = "\(options.seed)-\(index)-\(number)"
            number += 1
        }
        kept.names.insert(name)
        return root.appendingPathComponent(name)
    }

    /// The folders that this run has written.
    private final class Kept { var names: Set<String> = [] }
    private let kept = Kept()
}

/// A generated mesh is not what the reader accepts: a mistake of this program.
struct GeneratorError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// The line on the terminal that says how far the work is.
struct ProgressLine {
    private let isTerminal = isatty(2) == 1

    /// Something that is worth knowing before the end, which may be hours away.
    func note(_ text: String) {
        clear()
        FileHandle.standardError.write(Data("\(text)\n".utf8))
    }

    func show(_ text: String) {
        if isTerminal { FileHandle.standardError.write(Data("\r\u{1B}[K\(text)".utf8)) }
    }

    func clear() { if isTerminal { FileHandle.standardError.write(Data("\r\u{1B}[K".utf8)) } }
}
