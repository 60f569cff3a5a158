import ArgumentParser
import Manifests

/// `validate PATH…`: every problem of scenarios and manifests, without root and without a lab.
struct ValidateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "validate", abstract: "Checks scenarios and manifests; every problem with file:line:column.")

    @Argument(help: "Scenario files, manifests, or directories of them.", completion: .file())
    var paths: [String]

    func run() throws {
        let inputs = Input.resolve(paths)
        let read = ReadInputs(inputs)
        Console.diagnose(read.diagnostics)
        Console.report(summary(read, scenarioFiles: inputs.count { if case .scenario = $0 { true } else { false } }))
        if !read.isUsable { throw ExitStatus.wrongInput }
    }

    private func summary(_ read: ReadInputs, scenarioFiles: Int) -> String {
        var subjects: [String] = []
        if scenarioFiles > 0 { subjects.append(counted(scenarioFiles, "scenario")) }
        if scenarioFiles == 0 || !read.resources.isEmpty { subjects.append(counted(read.resources.count, "object")) }
        let problems: [(Diagnostic.Severity, String)] = [
            (.error, "error"), (.unsupported, "refusal"), (.warning, "warning"),
        ]
        let counts = problems.map { severity, noun in
            counted(read.diagnostics.count { $0.severity == severity }, noun)
        }
        return "\(subjects.joined(separator: ", ")): \(counts.joined(separator: ", "))\n"
    }

    private func counted(_ number: Int, _ noun: String) -> String { "\(number) \(noun)\(number == 1 ? "" : "s")" }
}
