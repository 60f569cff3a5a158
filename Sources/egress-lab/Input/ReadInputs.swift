import Glibc
import Manifests

/// Scenarios and manifests of the command line, read, with everything that is to be said about them.
struct ReadInputs {
    var scenarios: [Scenario] = []
    /// What the plain manifests hold, in order.
    var resources: [any Resource] = []
    var diagnostics: [Diagnostic] = []

    /// `dataPlane` is the command line's, which wins over the scenarios'.
    init(_ inputs: [Input], dataPlane: Scenario.DataPlaneKind? = nil) {
        var manifestsPath: String?
        for input in inputs {
            switch input {
            case .scenario(let file):
                let read = ScenarioReader.read(path: file, dataPlane: dataPlane)
                diagnostics += read.diagnostics
                guard let scenario = read.value else { continue }
                scenarios.append(scenario)
                // What can't be read can't be planned, and would only be told twice.
                if read.isUsable { diagnostics += DryPlan(scenario).diagnostics }
            case .manifests(let path) where access(path, F_OK) != 0:
                diagnostics.append(Diagnostic(.error, "no such file or directory", at: SourceLocation(file: path)))
            case .manifests(let path):
                let read = ManifestReader.read(paths: [path])
                diagnostics += read.diagnostics
                resources += read.value
                manifestsPath = manifestsPath ?? path
            }
        }
        if let path = manifestsPath, isUsable {
            diagnostics += DryPlan(Scenario(manifests: resources, of: path)).diagnostics
        }
        // Scenarios may share manifests; what is wrong in one is told once.
        var seen: Set<Diagnostic> = []
        diagnostics = diagnostics.filter { seen.insert($0).inserted }
    }

    /// A scenario that is made up of manifests alone.
    init(_ matrix: MadeUpMatrix, dataPlane: Scenario.DataPlaneKind?) {
        let read = matrix.scenario(dataPlane: dataPlane)
        diagnostics = read.diagnostics
        guard let scenario = read.value else { return }
        scenarios = [scenario]
        if read.isUsable { diagnostics += DryPlan(scenario).diagnostics }
    }

    var isUsable: Bool { diagnostics.allSatisfy { $0.severity < .unsupported } }

    /// Tells everything on standard error; ends the command if anything forbids to go on.
    func requireUsable() throws {
        Console.diagnose(diagnostics)
        guard isUsable else { throw ExitStatus.wrongInput }
    }
}

extension Scenario {
    /// Manifests without a scenario are one without steps.
    init(manifests: [any Resource], of path: String) {
        self.init(name: path, file: path, location: SourceLocation(file: path), manifests: manifests)
    }
}
