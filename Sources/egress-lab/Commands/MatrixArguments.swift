import ArgumentParser
import Manifests
import NetworkAddresses

/// A matrix of manifests alone.
struct MatrixArguments: ParsableArguments {
    @Flag(
        name: .customLong("matrix"),
        help: "Take the paths for manifests, and ask every pair of their pods and the internet.")
    var isAsked = false

    @Option(
        name: .customLong("port"),
        help: ArgumentHelp(
            "What --matrix asks: 8080, 53/UDP or 9003/SCTP; more than one may be named. (default: 80 and 443)",
            valueName: "port"))
    var ports: [MatrixProbe] = []

    @Option(
        name: .customLong("expect"),
        help: ArgumentHelp("A table to compare the matrix with, as --output leaves one.", valueName: "file"))
    var expect: String?

    func check() throws {
        if !isAsked, !ports.isEmpty { throw ValidationError("--port goes with --matrix") }
        if !isAsked, expect != nil { throw ValidationError("--expect goes with --matrix") }
    }

    /// The scenario that stands for the manifests; nil: the paths are scenarios themselves.
    func madeUp(of paths: [String]) -> MadeUpMatrix? {
        guard isAsked else { return nil }
        let probes = ports.isEmpty ? [MatrixProbe(.tcp, 80), MatrixProbe(.tcp, 443)] : ports
        return MadeUpMatrix(paths: paths, probes: probes, expect: expect)
    }
}

extension MatrixProbe: ExpressibleByArgument {
    package init?(argument: String) {
        let parts = argument.split(separator: "/", omittingEmptySubsequences: false)
        guard let first = parts.first, let port = UInt16(first), port > 0, parts.count <= 2 else { return nil }
        switch parts.count == 2 ? parts[1].uppercased() : "TCP" {
        case "TCP": self.init(.tcp, port)
        case "UDP": self.init(.udp, port)
        case "SCTP": self.init(.sctp, port)
        default: return nil
        }
    }
}
