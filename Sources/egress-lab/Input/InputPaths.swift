import Manifests

/// What a path on the command line stands for.
enum Input: Equatable {
    case scenario(file: String)
    /// A manifest, or a directory without any scenario in it.
    case manifests(path: String)

    /// The inputs that `paths` stand for, in their order: commands that don't need a scenario take manifests too.
    static func resolve(_ paths: [String]) -> [Input] {
        var inputs: [Input] = []
        for path in paths {
            let found = ScenarioLocator.find(paths: [path])
            let resolved: [Input] =
                switch found.value {
                case []: [.manifests(path: path)]
                // A file stands for itself, whatever it holds.
                case [path]: [isScenario(path) ? .scenario(file: path) : .manifests(path: path)]
                default: found.value.map { .scenario(file: $0) }
                }
            inputs += resolved.filter { !inputs.contains($0) }
        }
        return inputs
    }

    private static func isScenario(_ path: String) -> Bool {
        path.split(separator: "/").last.map(String.init) == ScenarioLocator.fileName
            || ScenarioLocator.isScenario(path)
    }
}
