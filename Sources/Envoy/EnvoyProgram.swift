import Foundation
package import Netlink

/// An Envoy program on this machine.
package struct EnvoyProgram: Sendable {
    package let path: String

    package init(path: String) { self.path = path }

    /// The program's own word: `1.40.0`. It blocks the calling thread for some tens of milliseconds.
    package func version() throws(KernelError) -> String {
        let output = try ChildProcess.run(ChildSpecification(path, ["--version"]), timeout: .seconds(10))
        guard output.status.isSuccess, let version = Self.version(in: output.standardOutput) else {
            throw KernelError(
                "run", "\(path) --version", errno: 0,
                reason: "it is no Envoy: \(output.standardOutput.prefix(200))\(output.standardError.prefix(200))")
        }
        return version
    }

    /// `envoy  version: 3b1b9d…/1.40.0/Clean/RELEASE/BoringSSL`.
    static func version(in text: String) -> String? {
        guard let start = text.range(of: "version: ") else { return nil }
        let parts = text[start.upperBound...].split(separator: "/", omittingEmptySubsequences: false)
        return parts.count > 2 && parts[1].first?.isNumber == true ? String(parts[1]) : nil
    }
}
