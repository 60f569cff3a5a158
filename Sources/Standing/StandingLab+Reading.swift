import Control
import Foundation
import Manifests
import Mesh

/// The two streams of an answer, and its status.
struct Answer: Sendable, Equatable {
    var output = ""
    var diagnostics = ""
    var status: Int32 = 0
}

extension StandingLab {
    /// Objects as `kubectl get` shows them.
    func get(_ request: GetRequest) throws -> Answer {
        let views = ObjectViews(state, plan) { self.age(of: $0) }
        var answer = Answer()
        var found: [(kind: KindName, objects: [ObjectView], isNamed: Bool)] = []
        for selection in request.selections {
            let kind = try Self.kind(selection.kind)
            let all = views.all(of: kind, in: selection.namespace)
            guard !selection.names.isEmpty else {
                let matches = try Self.selector(selection.selector)
                found.append((kind, all.filter { matches($0.labels) }, false))
                continue
            }
            var chosen: [ObjectView] = []
            for name in selection.names {
                if let object = all.first(where: { $0.name == name }) {
                    chosen.append(object)
                } else {
                    answer.diagnostics +=
                        "Error from server (NotFound): \(kind.qualifiedPlural) \"\(name)\" not found\n"
                    answer.status = 1
                }
            }
            found.append((kind, chosen, true))
        }
        let objects = found.flatMap(\.objects)
        // One object that was named is shown by itself, all else as a list.
        let isSingle = found.count == 1 && found[0].isNamed && request.selections.first?.names.count == 1
        if isSingle, objects.isEmpty { return answer }
        switch request.output {
        case .name: answer.output = objects.map { "\($0.kind.qualified)/\($0.name)\n" }.joined()
        case .json: answer.output = Self.tree(objects, isSingle).json + "\n"
        case .yaml: answer.output = Self.tree(objects, isSingle).yaml
        case .jsonPath(let template):
            answer.output = try JSONPath(template).text(of: Self.tree(objects, isSingle))
        case .table, .wide:
            if objects.isEmpty {
                let namespace = request.selections.first?.namespace
                if answer.status == 0 {
                    answer.diagnostics +=
                        "No resources found" + (namespace.map { " in \($0) namespace." } ?? "") + "\n"
                }
                return answer
            }
            let table = ObjectTable(
                isWide: request.output == .wide, showsHeaders: request.showsHeaders, showsLabels: request.showsLabels)
            answer.output = found.filter { !$0.objects.isEmpty }.map { group in
                let isAll = request.selections.contains { $0.namespace == nil } && !group.kind.isClusterScoped
                return table.text(
                    group.objects, showsNamespace: isAll, prefixesKind: found.count > 1)
            }.joined(separator: "\n")
        }
        return answer
    }

    private static func tree(_ objects: [ObjectView], _ isSingle: Bool) -> ManifestNode {
        if isSingle, let only = objects.first { return only.document }
        let location = SourceLocation(file: "list")
        return ManifestNode.mapping(at: location)
            .setting("apiVersion", to: .string("v1", at: location))
            .setting("items", to: ManifestNode(.sequence(objects.map(\.document)), at: location))
            .setting("kind", to: .string("List", at: location))
    }
}

/// Columns as kubectl lays them out.
struct ObjectTable {
    var isWide: Bool
    var showsHeaders: Bool
    var showsLabels: Bool

    private static let columns: [String: (cells: [String], wide: [String])] = [
        "Pod": (["READY", "STATUS", "RESTARTS"], ["IP", "NODE"]),
        "Service": (["TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)"], []),
        "Deployment": (["READY"], []), "StatefulSet": (["READY"], []), "ReplicaSet": (["READY"], []),
        "DaemonSet": (["READY"], []), "ConfigMap": (["DATA"], []), "Namespace": (["STATUS"], []),
    ]

    func text(_ objects: [ObjectView], showsNamespace: Bool, prefixesKind: Bool) -> String {
        guard let kind = objects.first?.kind else { return "" }
        let own = Self.columns[kind.kind] ?? ([], [])
        var rows: [[String]] = []
        if showsHeaders {
            rows.append(
                (showsNamespace ? ["NAMESPACE"] : []) + ["NAME"] + own.cells + ["AGE"] + (isWide ? own.wide : [])
                    + (showsLabels ? ["LABELS"] : []))
        }
        for object in objects {
            let labels = object.labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
            rows.append(
                (showsNamespace ? [object.namespace] : [])
                    + [prefixesKind ? "\(kind.qualified)/\(object.name)" : object.name] + object.cells
                    + [Self.age(since: object.created)] + (isWide ? object.wideCells : [])
                    + (showsLabels ? [labels.isEmpty ? "<none>" : labels.joined(separator: ",")] : []))
        }
        return Self.aligned(rows)
    }

    /// Columns three blanks apart, as kubectl has them.
    static func aligned(_ rows: [[String]]) -> String {
        let count = rows.map(\.count).max() ?? 0
        let widths = (0..<count).map { column in
            rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0
        }
        return rows.map { row in
            let cells = row.enumerated().map { column, cell in
                column == row.count - 1
                    ? cell : cell + String(repeating: " ", count: widths[column] - cell.count + 3)
            }
            return cells.joined() + "\n"
        }.joined()
    }

    /// `3s`, `5m2s`, `2h`, `3d`.
    static func age(since date: Date) -> String {
        let seconds = max(0, Int(Date().timeIntervalSince(date)))
        switch seconds {
        case ..<120: return "\(seconds)s"
        case ..<600: return seconds % 60 == 0 ? "\(seconds / 60)m" : "\(seconds / 60)m\(seconds % 60)s"
        case ..<10_800: return "\(seconds / 60)m"
        case ..<172_800: return "\(seconds / 3600)h"
        default: return "\(seconds / 86_400)d"
        }
    }
}
