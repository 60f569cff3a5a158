import ArgumentParser
import Evidence
import Foundation
import Lab
import Reports

/// In which forms and where a run is reported.
struct ReportArguments: ParsableArguments {
    @Option(help: ArgumentHelp("A directory for results, reports, rules, configurations and logs.", valueName: "dir"))
    var output: String?

    @Option(help: ArgumentHelp("The report on standard output: text, json or tap.", valueName: "format"))
    var format = TextReport.name

    @Option(help: ArgumentHelp("A file for a JUnit XML report.", valueName: "file"))
    var junit: String?

    @Option(help: ArgumentHelp("Comes with a later version.", visibility: .private))
    var sarif: String?

    @Option(help: ArgumentHelp("Comes with a later version.", visibility: .private))
    var html: String?

    @Flag(help: "List the evidence of every flow.")
    var verbose = false

    /// The format of standard output; throws for what the command line must not ask for.
    func check() throws -> any ReportFormat {
        if sarif != nil { throw Failure.later("--sarif") }
        if html != nil { throw Failure.later("--html") }
        guard let format = ReportFormats.format(named: format) else {
            throw Failure.input("--format takes \(ReportFormats.names.joined(separator: ", ")), not '\(format)'")
        }
        return format
    }

    /// Makes the places of the reports, so that a run of minutes is not lost to a path that can't be written.
    func prepare() throws {
        if let output { try make(output, isDirectory: true) }
        if let junit {
            let parent = URL(fileURLWithPath: junit).deletingLastPathComponent().path
            try make(parent, isDirectory: true)
            guard FileManager.default.isWritableFile(atPath: parent) else {
                throw Failure.input("--junit \(junit): the directory can't be written")
            }
        }
    }

    private func make(_ path: String, isDirectory: Bool) throws {
        do {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        } catch {
            throw Failure.input("can't create the directory \(path): \(error.localizedDescription)")
        }
    }

    /// Writes everything that was asked for; what can't be written fails the run.
    func write(_ outcome: SuiteOutcome, format: any ReportFormat) throws {
        Console.report(try format.render(outcome.result, options: standardOutput))
        try writeFiles(junit: JUnitReport().render(outcome.result, options: ReportOptions(isVerbose: true))) {
            try $0.write(outcome)
        }
    }

    /// The same of two data planes held against each other.
    func write(_ outcome: ComparisonOutcome, format: any ReportFormat) throws {
        Console.report(try format.render(outcome.comparison, options: standardOutput))
        try writeFiles(junit: JUnitReport().render(outcome.comparison, options: ReportOptions(isVerbose: true))) {
            try $0.write(outcome)
        }
    }

    private var standardOutput: ReportOptions { ReportOptions(usesColor: Console.usesColor, isVerbose: verbose) }

    private func writeFiles(junit report: String, _ body: (OutputDirectory) throws -> Void) throws {
        do {
            if let output { try body(OutputDirectory(path: output, isVerbose: verbose)) }
            if let junit { try Data(report.utf8).write(to: URL(fileURLWithPath: junit)) }
        } catch {
            throw Failure(status: .labFailed, message: "can't write the reports: \(error.localizedDescription)")
        }
    }
}

/// `--output DIR`: results and report of the whole run, and a directory for each scenario.
struct OutputDirectory {
    var path: String
    var isVerbose: Bool

    func write(_ outcome: SuiteOutcome) throws {
        let root = URL(fileURLWithPath: path)
        try write(outcome.result, in: root)
        var taken: Set<String> = ["results.json", "report.txt"]
        for (result, artifacts) in zip(outcome.result.scenarios, outcome.artifacts) {
            let folder = root.appending(path: Self.folder(result.name, &taken))
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            for (name, text) in artifacts.files {
                let file = folder.appending(path: name)
                try FileManager.default.createDirectory(
                    at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
                try Data(text.utf8).write(to: file)
            }
            try write(RunResult(scenarios: [result]), in: folder)
        }
    }

    /// Both sides whole, in `left` and `right`, and beside them what differs.
    func write(_ outcome: ComparisonOutcome) throws {
        let root = URL(fileURLWithPath: path)
        for (name, side) in [("left", outcome.left), ("right", outcome.right)] {
            let folder = root.appending(path: name)
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            try OutputDirectory(path: folder.path, isVerbose: isVerbose).write(side)
        }
        let options = ReportOptions(isVerbose: isVerbose)
        let comparison = outcome.comparison
        try Data(JSONReport().render(comparison, options: options).utf8)
            .write(to: root.appending(path: "comparison.json"))
        try Data(TextReport().render(comparison, options: options).utf8)
            .write(to: root.appending(path: "comparison.txt"))
    }

    private func write(_ result: RunResult, in folder: URL) throws {
        let options = ReportOptions(isVerbose: isVerbose)
        try Data(JSONReport().render(result, options: options).utf8).write(to: folder.appending(path: "results.json"))
        try Data(TextReport().render(result, options: options).utf8).write(to: folder.appending(path: "report.txt"))
    }

    /// A scenario's name as a directory of its own, whatever characters it has.
    static func folder(_ name: String, _ taken: inout Set<String>) -> String {
        var folder = String(name.map { $0.isASCII && ($0.isLetter || $0.isNumber || "-_.".contains($0)) ? $0 : "-" })
        if folder.allSatisfy({ $0 == "." }) { folder = "scenario" }
        var candidate = folder
        var number = 2
        while !taken.insert(candidate).inserted {
            candidate = "\(folder)-\(number)"
            number += 1
        }
        return candidate
    }
}
