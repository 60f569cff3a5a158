package import Netlink

/// The reference implementation: the `nft` program, run inside a namespace.
package enum NftReference {
    /// What `nft -s list ruleset` prints.
    package static func list(in namespace: NetworkNamespace) throws -> String {
        try run(["-s", "list", "ruleset"], in: namespace)
    }

    /// What `nft list ruleset` prints, counters and all.
    package static func listWithCounters(in namespace: NetworkNamespace) throws -> String {
        try run(["list", "ruleset"], in: namespace)
    }

    /// Loads `text`.
    package static func load(_ text: String, in namespace: NetworkNamespace) throws {
        _ = try run(["-f", "-"], input: text, in: namespace)
    }

    private static func run(
        _ arguments: [String], input: String = "", in namespace: NetworkNamespace
    ) throws -> String {
        var specification = ChildSpecification("/usr/sbin/nft", arguments, environment: ["PATH=/usr/sbin:/usr/bin"])
        specification.namespace = namespace
        let output = try ChildProcess.run(specification, input: input, timeout: .seconds(30))
        guard output.status.isSuccess else {
            throw NftFailure(description: "nft \(arguments): \(output.status)\n\(output.standardError)\n\(input)")
        }
        return output.standardOutput
    }
}

/// The reference refused something.
package struct NftFailure: Error, CustomStringConvertible {
    package let description: String
}
