/// Finds scenario files.
package enum ScenarioLocator {
    package static let fileName = "scenario.yaml"

    /// The scenario files that the paths stand for: a scenario file, a directory with `scenario.yaml`, or a tree of such
    /// directories, in the order of their names. A path without any is an error that names it.
    package static func find(paths: [String]) -> ReadResult<[String]> {
        var files: [String] = []
        var diagnostics: [Diagnostic] = []
        for path in paths {
            switch ManifestFile.kind(of: path) {
            case .file:
                files.append(path)
            case .directory:
                let found = below(path, depth: 0)
                if found.isEmpty {
                    diagnostics.append(
                        Diagnostic(
                            .error, "no \(fileName) in the directory \(path) or below it",
                            at: SourceLocation(file: path)))
                }
                files += found
            case .missing:
                diagnostics.append(
                    Diagnostic(.error, "no file or directory \(path)", at: SourceLocation(file: path)))
            case .other:
                diagnostics.append(
                    Diagnostic(.error, "\(path) is not a regular file", at: SourceLocation(file: path)))
            }
        }
        var seen: Set<String> = []
        return ReadResult(files.filter { seen.insert($0).inserted }, diagnostics: diagnostics)
    }

    /// True when the file's first document is a Scenario (or can't be read, which the scenario's reader then tells).
    package static func isScenario(_ path: String) -> Bool {
        let documents = ManifestFile.documents(at: path, askedAt: nil)
        return documents.value.first.map { $0["kind"]?.text == "Scenario" } ?? false
    }

    private static func below(_ directory: String, depth: Int) -> [String] {
        let file = ManifestFile.join(directory, fileName)
        if ManifestFile.kind(of: file) == .file { return [file] }
        // Links may lead in circles.
        guard depth < 16 else { return [] }
        return ManifestFile.entries(of: directory).filter { !$0.hasPrefix(".") }.flatMap { name -> [String] in
            let path = ManifestFile.join(directory, name)
            return ManifestFile.kind(of: path) == .directory ? below(path, depth: depth + 1) : []
        }
    }
}
