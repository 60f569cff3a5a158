/// Turns YAML documents into typed resources.
struct DocumentReader {
    let log: DiagnosticLog

    /// The resources of one document, lists flattened, in order.
    func resources(in document: ManifestNode) -> [any Resource] {
        if document.isNull { return [] }
        guard case .mapping = document.content else {
            log.add(
                Diagnostic(
                    .error, "expected a Kubernetes object, found \(document.summary)", at: document.location))
            return []
        }
        let unknown = FieldReader(
            node: document, path: "", subject: FieldReader.Subject(kind: "object", log: log))
        guard let kindField = unknown.required("kind"), let kind = kindField.string,
            let versionField = unknown.required("apiVersion"), let version = versionField.string
        else { return [] }
        if kind.hasSuffix("List"), document["metadata"]?["name"] == nil, let items = unknown["items"] {
            return items.list.flatMap { resources(in: inherit(kind, version, $0.node)) }
        }
        if kind == "List" { return [] }
        guard let known = ResourceKinds.byName[kind], group(of: version) == known.group || isOld(version, known) else {
            leaveOut(kind, version, unknown)
            return []
        }
        if known.retired.contains(version) {
            versionField.say(
                .warning, "\(version) of \(kind) is no longer served",
                remedy: "write \(known.apiVersions.joined(separator: " or "))")
        } else if !known.apiVersions.contains(version) {
            versionField.error(
                "\(kind) is not served as \(version)", remedy: "use \(known.apiVersions.joined(separator: ", "))")
            return []
        }
        let subject = FieldReader.Subject(
            kind: kind, log: log, acceptsSnakeCase: known.group.hasSuffix("istio.io"), unknownField: known.unknownField)
        let root = FieldReader(node: document, path: "", subject: subject)
        guard
            let metadata = ObjectMeta(
                reading: root, isClusterScoped: known.isClusterScoped, defaultName: known.defaultName)
        else { return [] }
        let resource = known.read(ObjectReader(root: root, metadata: metadata))
        UnsupportedFields.tell(of: root, as: kind)
        return resource.map { [$0] } ?? []
    }

    /// Elements of a `PodList` need not repeat their kind.
    private func inherit(_ listKind: String, _ version: String, _ item: ManifestNode) -> ManifestNode {
        guard case .mapping(var entries) = item.content, listKind != "List" else { return item }
        for (key, text) in [("kind", String(listKind.dropLast(4))), ("apiVersion", version)] where item[key] == nil {
            let value = ManifestNode(.scalar(.init(text: text, style: .quoted)), at: item.location)
            entries.append(.init(key: key, location: item.location, value: value))
        }
        return ManifestNode(.mapping(entries), at: item.location)
    }

    private func group(of apiVersion: String) -> String {
        apiVersion.lastIndex(of: "/").map { String(apiVersion[..<$0]) } ?? ""
    }

    private func isOld(_ version: String, _ kind: ResourceKind) -> Bool {
        kind.retired.contains { group(of: $0) == group(of: version) }
    }

    private func leaveOut(_ kind: String, _ version: String, _ object: FieldReader) {
        let name = object.node["metadata"]?["name"]?.text.map { " \($0)" } ?? ""
        let group = group(of: version)
        if kind == "Scenario", group == "egress-lab.dev" {
            log.add(
                Diagnostic(
                    .error, "a scenario is not a manifest", remedy: "name it to run or validate by itself",
                    at: object.location))
        } else if UnreadKinds.consequential.contains(kind) {
            log.add(
                Diagnostic(
                    .unsupported,
                    "\(kind)\(name) (\(version)) is not supported yet; it would change who may reach what, so it is"
                        + " refused rather than ignored", at: object.location))
        } else if UnreadKinds.harmless.contains(kind) {
            log.leaveOut(kind, version, name: nil, isUnderstood: true, at: object.location)
        } else if let reason = UnreadKinds.warned[kind] {
            log.add(
                Diagnostic(.warning, "\(kind)\(name) (\(version)) was left out: \(reason)", at: object.location))
        } else {
            let near = NearestName.to(kind, among: ResourceKinds.all.map(\.kind) + UnreadKinds.consequential.sorted())
            // The right kind in a group of nobody's, or nearly the right kind, is a mistake and not somebody's own kind.
            let ownGroup = near.flatMap { ResourceKinds.byName[$0]?.group } ?? ""
            let isMistake =
                near != nil && (isOwnGroup(group) || NearestName.to(group, among: [ownGroup]) != nil)
            var remedy = near.map { "did you mean \($0)?" }
            if near == kind {
                remedy = ResourceKinds.byName[kind].map { "use \($0.apiVersions.joined(separator: ", "))" }
            }
            guard isMistake else {
                let name = object.node["metadata"]?["name"]?.text
                log.leaveOut(kind, version, name: name, isUnderstood: false, at: object.location)
                return
            }
            log.add(
                Diagnostic(
                    .error, "kind \(kind) (\(version)) is not understood:\(name.isEmpty ? " it" : name) was left out",
                    remedy: remedy, at: object.location))
        }
    }

    private func isOwnGroup(_ group: String) -> Bool {
        group.isEmpty || ["apps", "batch", "extensions"].contains(group) || group.hasSuffix(".istio.io")
            || group.hasSuffix(".k8s.io")
    }
}
