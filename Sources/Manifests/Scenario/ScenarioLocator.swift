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
                var visited: Set<String> = []
                let found = below(path, &visited)
                if found.isEmpty {
                    diagnostics.append(
                        Diagnostic(
                            .error, "no \(fileName) in the directory \(path) or below it",
                            remedy: "validate and run --matrix take manifests alone",
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
        // The same file by two names, or through a link, is one scenario.
        return ReadResult(
            files.filter { seen.insert(ManifestFile.realPath($0)).inserted }, diagnostics: diagnostics)
    }

    /// True when the file's first document is a Scenario (or can't be read, which the scenario's reader then tells).
    package static func isScenario(_ path: String) -> Bool {
        let documents = ManifestFile.documents(at: path, askedAt: nil)
        return documents.value.first.map { $0["kind"]?.text == "Scenario" } ?? false
    }

    /// `visited` has the directories seen so far: links may lead in circles.
    private static func below(_ directory: String, _ visited: inout Set<String>) -> [String] {
        guard visited.insert(ManifestFile.realPath(directory)).inserted else { return [] }
        let file = ManifestFile.join(directory, fileName)
        if ManifestFile.kind(of: file) == .file { return [file] }
        var files: [String] = []
        for name in ManifestFile.entries(of: directory) where !name.hasPrefix(".") {
            let path = ManifestFile.join(directory, name)
            if ManifestFile.kind(of: path) == .directory { files += below(path, &visited) }
        }
        return files
    }
}
