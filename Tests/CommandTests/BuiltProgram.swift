import Foundation

/// The program as a user starts it: what it says on each stream, and its exit status.
struct BuiltProgram {
    var status: Int32
    var output: String
    var diagnostics: String

    /// The products' directory: that of the running test bundle.
    static let executable = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        .deletingLastPathComponent().appending(path: "egress-lab")

    /// Runs `egress-lab` to its end. `user` other than nil runs it as that user, which needs root.
    static func run(
        _ arguments: String..., in directory: String? = nil, environment: [String: String] = [:], user: UInt32? = nil
    ) throws -> BuiltProgram {
        try run(arguments, in: directory, environment: environment, user: user)
    }

    static func run(
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

/// Runs `body` with a directory that holds `files`, and takes it away again.
func withDirectory<Result>(_ files: [String: String], _ body: (String) throws -> Result) throws -> Result {
    let directory = FileManager.default.temporaryDirectory.appending(path: "command-test-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: directory) }
    for (name, text) in files {
        let file = directory.appending(path: name)
        try FileManager.default.createDirectory(
            at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: file)
    }
    // Readable for the user that a test may run the program as.
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: directory.path)
    return try body(directory.path)
}

/// Small inputs.
enum Sample {
    static let pod = """
        apiVersion: v1
        kind: Pod
        metadata:
          name: sleep
          labels: {sidecar.istio.io/inject: "true"}
        spec:
          containers:
            - {name: sleep, image: curlimages/curl}
        """

    static func scenario(
        name: String = "sample", tags: String = "[]", to: String = "http://203.0.113.9/", expect: String = "allowed",
        from: String = "default/sleep", manifests: String = "[pod.yaml]"
    ) -> String {
        """
        apiVersion: egress-lab.dev/v1
        kind: Scenario
        metadata: {name: \(name), tags: \(tags)}
        spec:
          manifests: \(manifests)
          steps:
            - name: only
              flows:
                - {id: a, from: \(from), to: "\(to)", expect: \(expect)}
        """
    }
}
