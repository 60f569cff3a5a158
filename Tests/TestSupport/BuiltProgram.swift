package import Foundation

/// The program as a user starts it: what it says on each stream, and its exit status.
package struct BuiltProgram {
    package var status: Int32
    package var output: String
    package var diagnostics: String

    /// The program in the products' directory: that of the running test bundle.
    package static let executable = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        .deletingLastPathComponent().appending(path: "egress-lab")

    /// Runs `egress-lab` to its end. `user` other than nil runs it as that user, which needs root.
    package static func run(
        _ arguments: String..., in directory: String? = nil, environment: [String: String] = [:], user: UInt32? = nil
    ) throws -> BuiltProgram {
        try run(arguments, in: directory, environment: environment, user: user)
    }

    package static func run(
        _ arguments: [String], in directory: String? = nil, environment: [String: String] = [:], user: UInt32? = nil
    ) throws -> BuiltProgram {
        let process = Process()
        if let user {
            process.executableURL = URL(fileURLWithPath: "/usr/bin/setpriv")
            process.arguments =
                ["--reuid=\(user)", "--regid=\(user)", "--clear-groups", executable.path] + arguments
        } else {
            process.executableURL = executable
            process.arguments = arguments
        }
        if let directory { process.currentDirectoryURL = URL(fileURLWithPath: directory) }
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        let output = Pipe()
        // A file takes any amount, so that neither stream can block the other.
        let diagnostics = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
        _ = FileManager.default.createFile(atPath: diagnostics.path, contents: nil)
        defer { try? FileManager.default.removeItem(at: diagnostics) }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = try FileHandle(forWritingTo: diagnostics)
        try process.run()
        let said = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return BuiltProgram(
            status: process.terminationStatus, output: String(decoding: said, as: UTF8.self),
            diagnostics: String(decoding: try Data(contentsOf: diagnostics), as: UTF8.self))
    }
}
