import NetworkAddresses

/// Reads scenario files with everything that they name.
package enum ScenarioReader {
    /// The scenario of a file; nil when too little of it could be understood. Everything wrong, in the scenario and in
    /// the manifests it names, is told at once, sorted by file and line. `dataPlane` wins over the scenario's own.
    package static func read(
        path: String, dataPlane: Scenario.DataPlaneKind? = nil
    ) -> ReadResult<Scenario?> {
        let log = DiagnosticLog()
        let documents = ManifestFile.documents(at: path, askedAt: SourceLocation(file: path))
        log.add(documents.diagnostics)
        guard let document = documents.value.first(where: { !$0.isNull }) else {
            if documents.diagnostics.isEmpty {
                log.add(Diagnostic(.error, "the file holds no scenario", at: SourceLocation(file: path)))
            }
            return ReadResult(nil, diagnostics: log.sorted)
        }
        if let second = documents.value.filter({ !$0.isNull }).dropFirst().first {
            log.add(
                Diagnostic(
                    .error, "a scenario file holds one document", remedy: "put manifests in files of their own",
                    at: second.location))
        }
        // Manifests may be newer than this program, but a misspelt expectation would pass for one that was met.
        let subject = FieldReader.Subject(kind: "Scenario", log: log, unknownField: .error)
        let root = FieldReader(node: document, path: "", subject: subject)
        var pass = ScenarioPass(file: path, log: log)
        pass.dataPlane = dataPlane
        let scenario = pass.scenario(root)
        return ReadResult(scenario, diagnostics: log.sorted)
    }
}

/// One reading of a scenario: follows what exists at each step, so that references can be checked where they stand.
struct ScenarioPass {
    let file: String
    let log: DiagnosticLog
    let files: ManifestFiles
    /// What exists at the point that has been read so far.
    var cluster = KnownWorkloads()
    var flowIDs: Set<String> = []
    /// Workloads that the boundary lets out and that have not existed yet.
    private var unknownSources: [Located<WorkloadReference>] = []
    /// What the command line says instead of the scenario.
    var dataPlane: Scenario.DataPlaneKind?
    var compatibility = Scenario.Compatibility.current

    init(file: String, log: DiagnosticLog) {
        self.file = file
        self.log = log
        files = ManifestFiles(log: log)
    }

    private static let rootFields: FieldNames = "apiVersion kind metadata spec"
    private static let metadataFields: FieldNames = "name title tags description labels annotations"
    private static let specFields: FieldNames = """
        dataPlane mesh compatibility enforcement manifests internet images boundary nodes steps
        """

    mutating func scenario(_ root: FieldReader) -> Scenario? {
        guard root.check(Self.rootFields) else { return nil }
        guard let kind = root.required("kind") else { return nil }
        guard kind.node.text == "Scenario" else {
            kind.error(
                "expected Scenario, found \(kind.node.summary)",
                remedy: "a scenario names its manifests; validate and render take manifests alone too")
            return nil
        }
        if let version = root.required("apiVersion"), version.node.text != "egress-lab.dev/v1" {
            version.error("expected egress-lab.dev/v1, found \(version.node.summary)")
        }
        guard let spec = root.required("spec"), spec.check(Self.specFields) else { return nil }
        var scenario = Scenario(name: "", file: file, location: root.location)
        if let metadata = root.required("metadata"), metadata.check(Self.metadataFields) {
            scenario.name = metadata.required("name")?.text ?? ""
            scenario.title = metadata["title"]?.text ?? ""
            scenario.tags = metadata["tags"]?.list.compactMap(\.text) ?? []
        }
        if let field = spec["dataPlane"], let name = field.choice(of: ["bundled", "envoy"]) {
            scenario.dataPlane = name == "envoy" ? .envoy : .bundled
        }
        if let dataPlane { scenario.dataPlane = dataPlane }
        if let field = spec["mesh"] { scenario.mesh = MeshConfig(readingScenario: field) }
        if let field = spec["compatibility"], let name = field.choice(of: ["current", "istio-1.0"]) {
            scenario.compatibility = name == "current" ? .current : .istio10
            compatibility = scenario.compatibility
        }
        if let field = spec["enforcement"], let name = field.choice(of: ["sidecar", "gateway", "none"]) {
            scenario.enforcement = Scenario.Enforcement(rawValue: name) ?? .sidecar
        }
        readMachines(spec, into: &scenario)
        scenario.internet = spec["internet"]?.list.compactMap { InternetHost(reading: $0) } ?? []
        scenario.manifests = spec["manifests"].map { resources($0) } ?? []
        scenario.manifests.forEach { cluster.apply($0) }
        unknownSources = scenario.boundary?.workloads ?? []
        forgetKnownSources()
        if let steps = spec.required("steps") {
            if steps.isList, steps.list.isEmpty { steps.error("a scenario needs at least one step") }
            for (index, field) in steps.list.enumerated() {
                if let step = step(field, number: index + 1) { scenario.steps.append(step) }
            }
        }
        for source in unknownSources {
            log.add(
                Diagnostic(
                    .error, "spec.boundary.allowFrom: no step has a workload \(source.value)",
                    remedy: cluster.nearest(to: source.value), at: source.location))
        }
        UnsupportedFields.tell(of: root, as: "Scenario")
        return scenario
    }

    /// What the scenario says of programs, nodes and the edge of the cluster.
    private func readMachines(_ spec: FieldReader, into scenario: inout Scenario) {
        scenario.images = (spec["images"]?.entries ?? []).compactMap { entry in
            ImageStandIn(reading: entry.field, name: entry.key)
        }
        scenario.boundary = spec["boundary"].flatMap { ClusterBoundary(reading: $0) }
        var names: Set<String> = []
        scenario.nodes = (spec["nodes"]?.list ?? []).compactMap { field in
            guard let node = ScenarioNode(reading: field) else { return nil }
            if !names.insert(node.name).inserted { field.error("the node \(node.name) is given twice") }
            return node
        }
    }

    private mutating func forgetKnownSources() { unknownSources.removeAll { cluster.contains($0.value) } }

    // MARK: Steps

    private static let stepFields: FieldNames = """
        name apply delete set restart flows matrix commands probes assert
        """

    private mutating func step(_ field: FieldReader, number: Int) -> Step? {
        guard field.check(Self.stepFields) else { return nil }
        var step = Step(name: field["name"]?.text ?? "step \(number)", location: field.location)
        step.delete = field["delete"].map { deletions($0) } ?? []
        step.delete.forEach { cluster.delete($0.value) }
        step.apply = field["apply"].map { resources($0) } ?? []
        step.apply.forEach { cluster.apply($0) }
        forgetKnownSources()
        if let set = field["set"] { step.set = MeshConfig(readingScenario: set) }
        step.restart = (field["restart"]?.listOrSelf ?? []).compactMap { element in
            reference(element).map { Located($0, at: element.location) }
        }
        for (index, element) in (field["flows"]?.list ?? []).enumerated() {
            if let flow = flow(element, defaultID: "s\(number).f\(index + 1)") { step.flows.append(flow) }
        }
        step.matrix = field["matrix"].flatMap { matrix($0) }
        step.commands = (field["commands"]?.list ?? []).compactMap { command($0) }
        step.assertions = (field["assert"]?.list ?? []).flatMap { assertions($0) }
        return step
    }

    private func matrix(_ field: FieldReader) -> Matrix? {
        Matrix(
            reading: field, reference: { reference($0) },
            table: { field in
                guard let name = field.text else { return nil }
                let path = resolve(name)
                let bytes = ManifestFile.bytes(at: path, askedAt: field.location)
                log.add(bytes.diagnostics)
                guard let bytes = bytes.value else { return nil }
                let read = KeptMatrix.read(text: String(decoding: bytes, as: UTF8.self), file: path)
                log.add(read.diagnostics)
                return read.isUsable ? read.value : nil
            })
    }

    /// `manifests` or `apply`: files, directories and inline objects.
    private func resources(_ field: FieldReader) -> [any Resource] {
        field.listOrSelf.flatMap { element -> [any Resource] in
            if element.isMapping { return DocumentReader(log: log).resources(in: element.node) }
            guard let path = element.text else { return [] }
            return files.resources(at: resolve(path), askedAt: element.location)
        }
    }

    /// `delete`: files, directories, inline objects, `Kind/namespace/name` or `Kind/name`.
    private func deletions(_ field: FieldReader) -> [Located<ResourceID>] {
        field.listOrSelf.flatMap { element -> [Located<ResourceID>] in
            if element.isMapping { return deletion(ofObject: element) }
            guard let text = element.text else { return [] }
            let path = resolve(text)
            if ManifestFile.kind(of: path) != .missing || text.hasSuffix(".yaml") || text.hasSuffix(".yml") {
                return files.resources(at: path, askedAt: element.location).map { Located($0.id, at: element.location) }
            }
            let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
            guard (2...3).contains(parts.count), !parts.contains("") else {
                element.error("\"\(text)\" is neither a file nor Kind/namespace/name or Kind/name")
                return []
            }
            guard let kind = ResourceKinds.named(parts[0]) else {
                // Objects of kinds that are never read can't exist here; kubectl forgives those with --ignore-not-found.
                let unread = UnreadKinds.consequential.union(UnreadKinds.harmless).union(UnreadKinds.warned.keys)
                if !unread.contains(where: { $0.lowercased() == parts[0].lowercased() }) {
                    element.error(
                        "unknown kind \(parts[0])",
                        remedy: NearestName.remedy(for: parts[0], among: ResourceKinds.all.map(\.kind)))
                }
                return []
            }
            let namespace = kind.isClusterScoped ? "" : parts.count == 3 ? parts[1] : "default"
            let id = ResourceID(kind: kind.kind, namespace: namespace, name: parts[parts.count - 1])
            return [Located(id, at: element.location)]
        }
    }

    /// An inline object to delete needs only its name.
    private func deletion(ofObject element: FieldReader) -> [Located<ResourceID>] {
        guard let kindField = element.required("kind"), let name = kindField.text else { return [] }
        guard let kind = ResourceKinds.named(name) else {
            kindField.error(
                "unknown kind \(name)",
                remedy: NearestName.remedy(for: name, among: ResourceKinds.all.map(\.kind)))
            return []
        }
        guard let metadata = element.required("metadata"), let name = metadata.required("name")?.string else {
            return []
        }
        let namespace = kind.isClusterScoped ? "" : metadata["namespace"]?.string ?? "default"
        return [Located(ResourceID(kind: kind.kind, namespace: namespace, name: name), at: element.location)]
    }

    private func resolve(_ path: String) -> String {
        ManifestFile.join(ManifestFile.directory(of: file), path)
    }

    // MARK: References

    /// `namespace/workload` or `namespace/pod`, with `:container`, which must exist at this step.
    func reference(_ field: FieldReader) -> WorkloadReference? {
        named(field).flatMap { cluster.check($0, field) ? $0 : nil }
    }

    /// A reference to what need not exist.
    func named(_ field: FieldReader) -> WorkloadReference? {
        guard let text = field.text else { return nil }
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, !parts.contains("") else {
            field.error("\"\(text)\" is not NAMESPACE/WORKLOAD")
            return nil
        }
        let name = parts[1].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        return WorkloadReference(namespace: parts[0], name: name[0], container: name.count > 1 ? name[1] : nil)
    }
}
