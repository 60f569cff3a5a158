/// Reads manifests: files of one or more documents, or directories of such files.
package enum ManifestReader {
    /// The resources of files and directories (`*.yaml`, `*.yml`, `*.json`, recursively, by name), in order.
    ///
    /// Relative paths start at `relativeTo`. Everything wrong is told at once, by file and line.
    package static func read(paths: [String], relativeTo directory: String? = nil) -> ReadResult<[any Resource]> {
        let log = DiagnosticLog()
        let files = ManifestFiles(log: log)
        let resources = paths.flatMap { path in
            files.resources(at: ManifestFile.join(directory ?? "", path), askedAt: nil)
        }
        return ReadResult(resources, diagnostics: log.sorted)
    }

    /// The resources of a text; `file` names it in messages.
    package static func read(text: String, file: String) -> ReadResult<[any Resource]> {
        let log = DiagnosticLog()
        let documents = ManifestFile.documents(of: Array(text.utf8), file: file)
        log.add(documents.diagnostics)
        let reader = DocumentReader(log: log)
        return ReadResult(documents.value.flatMap(reader.resources), diagnostics: log.sorted)
    }

    /// The documents of a text, without any meaning yet.
    package static func documents(of text: String, file: String) -> ReadResult<[ManifestNode]> {
        ManifestFile.documents(of: Array(text.utf8), file: file)
    }

    /// The resources of documents that were read, and perhaps edited, before.
    package static func read(documents: [ManifestNode]) -> ReadResult<[any Resource]> {
        let log = DiagnosticLog()
        let reader = DocumentReader(log: log)
        return ReadResult(documents.flatMap(reader.resources), diagnostics: log.sorted)
    }
}

/// Files of manifests, each read once.
final class ManifestFiles {
    private let log: DiagnosticLog
    private var known: [String: [any Resource]] = [:]

    init(log: DiagnosticLog) { self.log = log }

    /// The resources of a file or a directory; problems of the path itself are told where it was named.
    func resources(at path: String, askedAt location: SourceLocation?) -> [any Resource] {
        guard ManifestFile.kind(of: path) == .directory else { return file(path, location) }
        let files = ManifestFile.manifests(below: path)
        if files.isEmpty {
            log.add(Diagnostic(.error, "no *.yaml, *.yml or *.json in the directory \(path)", at: location))
        }
        return files.flatMap { file($0, location) }
    }

    private func file(_ path: String, _ location: SourceLocation?) -> [any Resource] {
        if let resources = known[path] { return resources }
        let documents = ManifestFile.documents(at: path, askedAt: location)
        log.add(documents.diagnostics)
        let reader = DocumentReader(log: log)
        let resources = documents.value.flatMap(reader.resources)
        known[path] = resources
        return resources
    }
}
