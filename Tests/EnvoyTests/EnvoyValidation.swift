import Envoy
import Foundation
import Netlink

/// Asks Envoy itself whether it takes a bootstrap.
enum EnvoyValidation {
    /// What Envoy has against `bootstrap`; nil when it takes it.
    static func complaint(about bootstrap: String) throws -> String? {
        let file = FileManager.default.temporaryDirectory.appending(path: "bootstrap-\(UUID()).json")
        try Data(bootstrap.utf8).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        let command = ChildSpecification(
            try EnvoyLocator().find(),
            ["--mode", "validate", "-c", file.path, "-l", "warning", "--skip-deprecated-logs"])
        let output = try ChildProcess.run(command, timeout: .seconds(60))
        // A warning would appear at each start.
        let lines = output.standardError.split(separator: "\n").filter { $0.contains("[warning]") }
        return output.status.isSuccess && lines.isEmpty ? nil : output.standardError + output.standardOutput
    }
}
