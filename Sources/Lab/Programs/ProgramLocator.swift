import Foundation
package import Manifests

/// Finds the programs of this machine that stand in for containers' images.
package struct ProgramLocator: Sendable {
    /// A program that is not there, and how to get it.
    package struct NotFound: Error, CustomStringConvertible {
        package let description: String
    }

    static let usualPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    /// Packages, where their names are not the program's.
    private static let packages = ["nginx": "nginx libnginx-mod-stream", "python3": "python3-minimal"]

    private let directories: [String]

    package init(path: String? = ProcessInfo.processInfo.environment["PATH"]) {
        // First where every container's user may reach them; servers lie where only root's PATH leads.
        let all = (Self.usualPath + ":" + (path ?? "")).split(separator: ":").map(String.init)
        directories = all.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }

    /// The path of the program that a command begins with (throws `NotFound`).
    package func find(_ name: String) throws -> String {
        let candidates = name.contains("/") ? [name] : directories.map { "\($0)/\(name)" }
        if let found = candidates.first(where: { FileManager.default.isExecutableFile(atPath: $0) }) { return found }
        let remedy =
            name.contains("/") ? "name a program of this machine" : "apt-get install \(Self.packages[name] ?? name)"
        throw NotFound(description: "\(name) is not installed: \(remedy)")
    }

    /// Throws `NotFound` for the first of a scenario's programs that is not there.
    package func check(_ scenario: Scenario) throws {
        for image in scenario.images {
            guard case .command(let words) = image.program, let name = words.first else { continue }
            do {
                _ = try find(name)
            } catch {
                throw NotFound(
                    description: "scenario \(scenario.name) runs \(name) in the place of image \(image.name): \(error)")
            }
        }
    }
}
