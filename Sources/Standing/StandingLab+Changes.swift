import Control
import Foundation
import Manifests
import Mesh

/// What a change did, in kubectl's words.
struct ChangeReport: Sendable {
    var lines: [String] = []
    var notes: [Diagnostic] = []
}

extension StandingLab {
    // MARK: apply, create

    func apply(_ request: ApplyRequest) async throws -> ChangeReport {
        let (resources, others) = try Self.read(request.manifests, namespace: request.namespace)
        guard !resources.isEmpty || !others.isEmpty else {
            throw Refusal("error: no objects passed to \(request.verb.rawValue)")
        }
        let files = request.manifests.map(\.file)
        let (applied, notes) = try await change { draft in
            try resources.map { resource in
                let name = try Self.name(of: resource)
                let place = resource.metadata.location
                let existing = draft.state.resources.all.first { $0.id == resource.id }
                if request.verb == .create, existing != nil {
                    throw Refusal(
                        "Error from server (AlreadyExists): \(name.kind.qualifiedPlural) \"\(name.name)\" already exists"
                    )
                }
                if request.verb == .replace, existing == nil, !Self.isImplied(resource) {
                    throw Refusal(
                        "Error from server (NotFound): \(name.kind.qualifiedPlural) \"\(name.name)\" not found")
                }
                draft.state.apply(resource)
                if request.verb == .replace { return (place, "\(name.kind.qualified)/\(name.name) replaced") }
                let verb =
                    existing.map { Self.isSame($0, resource) ? "unchanged" : "configured" } ?? "created"
                return (place, "\(name.kind.qualified)/\(name.name) \(verb)")
            }
        }
        let remembered = others.map { other in
            let isNew = irrelevant.insert(other).inserted
            return (other.location, "\(other.kind.qualified)/\(other.name) \(isNew ? "created" : "unchanged")")
        }
        return ChangeReport(lines: Self.inOrder(applied + remembered, of: files), notes: notes)
    }

    /// What is told of objects, in the order in which the files have them.
    private static func inOrder(_ lines: [(place: SourceLocation, text: String)], of files: [String]) -> [String] {
        let order = Dictionary(files.enumerated().map { ($1, $0) }) { first, _ in first }
        return lines.enumerated().sorted { one, other in
            let (first, second) = (one.element.place, other.element.place)
            return (order[first.file] ?? 0, first.line, first.column, one.offset)
                < (order[second.file] ?? 0, second.line, second.column, other.offset)
        }.map(\.element.text)
    }

    /// The ConfigMap that every installation of Istio has, also where no manifest gives it.
    private static func isImplied(_ resource: any Resource) -> Bool {
        resource.id == ResourceID(kind: ConfigMap.kind, namespace: "istio-system", name: "istio")
    }

    // MARK: delete

    func delete(_ request: DeleteRequest) async throws -> ChangeReport {
        let (named, others) = try Self.read(request.manifests, namespace: request.namespace)
        let present = others.filter(irrelevant.contains)
        if let missing = others.first(where: { !irrelevant.contains($0) }), !request.ignoresNotFound {
            throw Refusal(
                "Error from server (NotFound): \(missing.kind.qualifiedPlural) \"\(missing.name)\" not found")
        }
        let (deleted, notes) = try await change { draft in
            var lines: [(SourceLocation, String)] = []
            // What was typed comes after what files have.
            var place = SourceLocation(file: request.manifests.last?.file ?? "", line: .max)
            func notFound(_ kind: KindName, _ name: String) throws {
                if request.ignoresNotFound { return }
                throw Refusal("Error from server (NotFound): \(kind.qualifiedPlural) \"\(name)\" not found")
            }
            func delete(_ id: ResourceID, _ kind: KindName) throws {
                if draft.state.delete(id) {
                    lines.append((place, "\(kind.qualified) \"\(id.name)\" deleted"))
                } else if kind.kind == Pod.kind,
                    draft.plan.pods.contains(where: {
                        $0.pod.id.namespace == id.namespace && $0.pod.id.name == id.name
                    })
                {
                    // Its workload makes another at once.
                    draft.restarted.append(WorkloadReference(namespace: id.namespace, name: id.name))
                    lines.append((place, "pod \"\(id.name)\" deleted"))
                } else {
                    try notFound(kind, id.name)
                }
            }
            // As kubectl does: what a namespace took with it is not missed.
            let order = named.filter { !($0 is Namespace) } + named.filter { $0 is Namespace }
            let typed = place
            for resource in order {
                place = resource.metadata.location
                try delete(resource.id, Self.name(of: resource).kind)
            }
            place = typed
            for selection in request.selections {
                let kind = try Self.kind(selection.kind)
                let namespace = kind.isClusterScoped ? "" : selection.namespace
                if selection.names.isEmpty {
                    let matches = try Self.selector(selection.selector)
                    let chosen = ObjectViews(draft.state, draft.plan) { _ in Date() }.all(of: kind, in: namespace)
                        .filter { matches($0.labels) }
                    if chosen.isEmpty { lines.append((place, "No resources found")) }
                    for object in chosen {
                        try delete(
                            ResourceID(kind: kind.kind, namespace: object.namespace, name: object.name), kind)
                    }
                }
                for name in selection.names {
                    try delete(ResourceID(kind: kind.kind, namespace: namespace ?? "default", name: name), kind)
                }
            }
            return lines
        }
        irrelevant.subtract(present)
        let forgotten = present.map { ($0.location, "\($0.kind.qualified) \"\($0.name)\" deleted") }
        let lines = Self.inOrder(deleted + forgotten, of: request.manifests.map(\.file))
        return ChangeReport(lines: lines, notes: notes)
    }

    // MARK: label, annotate, set env

    func edit(_ request: EditRequest) async throws -> ChangeReport {
        let (lines, notes) = try await change { draft in
            let kind = try Self.kind(request.selection.kind)
            let namespace = kind.isClusterScoped ? "" : request.selection.namespace
            let objects = try Self.objects(kind, namespace, request.selection, in: draft)
            return try objects.map { object in
                let (document, verb) = try Self.edited(object, by: request.change, kind)
                let read = ManifestReader.read(documents: [document])
                if let problem = Refusal(of: read.diagnostics) { throw problem }
                for resource in read.value { draft.state.apply(resource) }
                return "\(kind.qualified)/\(object.metadata.name) \(verb)"
            }
        }
        return ChangeReport(lines: lines, notes: notes)
    }

    private static func objects(
        _ kind: KindName, _ namespace: String?, _ selection: ObjectSelection, in draft: Draft
    ) throws -> [any Resource] {
        let all = draft.state.resources.all.filter {
            $0.id.kind == kind.kind && (namespace == nil || $0.metadata.namespace == namespace)
        }
        if selection.names.isEmpty {
            let matches = try selector(selection.selector)
            return all.filter { matches($0.metadata.labels) }
        }
        return try selection.names.map { name in
            if let object = all.first(where: { $0.metadata.name == name }) { return object }
            // A namespace exists as soon as anything is in it, or Istio needs it.
            if kind.kind == Namespace.kind, draft.state.hasNamespace(name) { return Namespace(named: name) }
            throw Refusal("Error from server (NotFound): \(kind.qualifiedPlural) \"\(name)\" not found")
        }
    }

    private static func edited(
        _ object: any Resource, by change: EditRequest.Change, _ kind: KindName
    ) throws -> (document: ManifestNode, verb: String) {
        let location = object.metadata.location
        let document = object.metadata.document?.node ?? ObjectViews.document(of: object)
        func map(_ path: [String], _ values: [String: String?], overwrites: Bool, _ verb: String) throws -> (
            ManifestNode, String
        ) {
            var changed = false
            let existing = path.reduce(document as ManifestNode?) { $0?[$1] }
            for (key, value) in values {
                let old = existing?[key]?.text
                if let value, let old, old != value, !overwrites {
                    throw Refusal(
                        "error: '\(key)' already has a value (\(old)), and --overwrite is false")
                }
                if old != value { changed = true }
            }
            let result = values.sorted { $0.key < $1.key }.reduce(document) { tree, entry in
                tree.changing(path + [entry.key]) { _ in entry.value.map { .string($0, at: location) } }
            }
            let onlyRemoves = values.values.allSatisfy { $0 == nil }
            return (result, !changed ? "not \(verb)" : onlyRemoves && verb == "labeled" ? "unlabeled" : verb)
        }
        switch change {
        case .labels(let values, let overwrites):
            return try map(["metadata", "labels"], values, overwrites: overwrites, "labeled")
        case .annotations(let values, let overwrites):
            return try map(["metadata", "annotations"], values, overwrites: overwrites, "annotated")
        case .environment(let values, let container):
            let path = kind.kind == Pod.kind ? ["spec", "containers"] : ["spec", "template", "spec", "containers"]
            let tree = document.changing(path) { containers in
                containers?.mappingElements { element in
                    guard container == nil || element["name"]?.text == container else { return element }
                    return environment(values, in: element)
                }
            }
            return (tree, "env updated")
        }
    }

    private static func environment(_ values: [String: String?], in container: ManifestNode) -> ManifestNode {
        container.changing(["env"]) { list in
            var elements = list?.elements ?? []
            for (name, value) in values.sorted(by: { $0.key < $1.key }) {
                elements.removeAll { $0["name"]?.text == name }
                guard let value else { continue }
                elements.append(
                    ManifestNode.mapping(at: container.location)
                        .setting("name", to: .string(name, at: container.location))
                        .setting("value", to: .string(value, at: container.location)))
            }
            return elements.isEmpty ? nil : ManifestNode(.sequence(elements), at: container.location)
        }
    }

    // MARK: restart, policy

    func restart(_ selections: [ObjectSelection]) async throws -> ChangeReport {
        let (lines, notes) = try await change { draft in
            try selections.flatMap { selection in
                let kind = try Self.kind(selection.kind)
                let namespace = selection.namespace ?? "default"
                return try selection.names.map { name in
                    let isThere = draft.plan.pods.contains { planned in
                        planned.pod.id.namespace == namespace
                            && (kind.kind == Pod.kind ? planned.pod.id.name == name : planned.pod.workload == name)
                    }
                    guard isThere else {
                        throw Refusal("Error from server (NotFound): \(kind.qualifiedPlural) \"\(name)\" not found")
                    }
                    draft.restarted.append(WorkloadReference(namespace: namespace, name: name))
                    return "\(kind.qualified)/\(name) restarted"
                }
            }
        }
        return ChangeReport(lines: lines, notes: notes)
    }

    func set(_ mode: OutboundTrafficPolicyMode) async throws -> ChangeReport {
        let value: MeshConfig.OutboundTrafficPolicy = mode == .allowed ? .allowAny : .registryOnly
        let name = mode == .allowed ? "ALLOW_ANY" : "REGISTRY_ONLY"
        let (_, notes) = try await change { draft in
            var config = MeshConfig()
            config.outboundTrafficPolicy = Located(
                value, at: SourceLocation(file: "egress-lab outbound-traffic-policy \(mode.rawValue)"))
            draft.state.set(config)
        }
        return ChangeReport(lines: ["mesh wide outbound traffic policy is set to '\(name)'"], notes: notes)
    }

    // MARK: Reading what was typed

    /// The objects of manifests, and those that are only remembered; `namespace` is for those that name none.
    private static func read(
        _ manifests: [ManifestText], namespace: String
    ) throws -> (resources: [any Resource], others: [IrrelevantObject]) {
        var documents: [ManifestNode] = []
        var diagnostics: [Diagnostic] = []
        for manifest in manifests {
            let read = ManifestReader.documents(of: manifest.text, file: manifest.file)
            diagnostics += read.diagnostics
            documents += read.value.map { defaulting($0, to: namespace) }
        }
        let read = ManifestReader.read(documents: documents)
        if let problem = Refusal(of: diagnostics + read.diagnostics) { throw problem }
        return (read.value, documents.compactMap { IrrelevantObject($0, namespace: namespace) })
    }

    private static func defaulting(_ document: ManifestNode, to namespace: String) -> ManifestNode {
        guard namespace != "default", let kind = document["kind"]?.text else { return document }
        if kind.hasSuffix("List"), document["items"] != nil {
            return document.changing(["items"]) { $0?.mappingElements { defaulting($0, to: namespace) } }
        }
        guard KindName(of: kind)?.isClusterScoped == false, document["metadata"]?["namespace"] == nil else {
            return document
        }
        return document.changing(["metadata", "namespace"]) { _ in .string(namespace, at: document.location) }
    }

    private static func name(of resource: any Resource) throws -> (kind: KindName, name: String) {
        guard let kind = KindName(of: resource.id.kind) else {
            throw Refusal("error: unknown kind \(resource.id.kind)")
        }
        return (kind, resource.metadata.name)
    }

    private static func isSame(_ one: any Resource, _ other: any Resource) -> Bool {
        guard let first = one.metadata.document, let second = other.metadata.document else { return false }
        return first.node.json == second.node.json
    }

    /// The kind that a word means, or kubectl's complaint.
    static func kind(_ word: String) throws -> KindName {
        if let kind = KindName(typed: word) { return kind }
        let remedy = KindName.nearest(to: word).map { "; did you mean \($0)?" } ?? ""
        throw Refusal("error: the server doesn't have a resource type \"\(word)\"\(remedy)")
    }

    static func selector(_ text: String?) throws -> @Sendable ([String: String]) -> Bool {
        guard let text, !text.isEmpty else { return { _ in true } }
        let selector = try LabelExpression(text)
        return selector.matches
    }
}

/// An object that changes nothing about who may reach what: remembered, so that it can be deleted.
struct IrrelevantObject: Sendable, Hashable {
    var kind: KindName
    var namespace: String
    var name: String
    /// Where it stood when it was read; says nothing of which object it is.
    var location: SourceLocation

    init?(_ document: ManifestNode, namespace: String) {
        guard let word = document["kind"]?.text, let version = document["apiVersion"]?.text,
            let kind = KindName(harmless: word, apiVersion: version), let name = document["metadata"]?["name"]?.text
        else { return nil }
        self.kind = kind
        self.namespace = kind.isClusterScoped ? "" : document["metadata"]?["namespace"]?.text ?? namespace
        self.name = name
        location = document.location
    }

    static func == (one: Self, other: Self) -> Bool {
        (one.kind, one.namespace, one.name) == (other.kind, other.namespace, other.name)
    }

    func hash(into hasher: inout Hasher) {
        hasher.combine(kind)
        hasher.combine(namespace)
        hasher.combine(name)
    }
}

extension ClusterState {
    func hasNamespace(_ name: String) -> Bool {
        ["default", "kube-system", "istio-system"].contains(name)
            || resources.all.contains { $0.metadata.namespace == name || ($0 is Namespace && $0.metadata.name == name) }
    }
}

extension Namespace {
    /// One that no manifest makes.
    init(named name: String) {
        self.init(
            metadata: ObjectMeta(
                name: name, namespace: "", labels: ["kubernetes.io/metadata.name": name],
                location: SourceLocation(file: "namespace/\(name)")))
    }
}
