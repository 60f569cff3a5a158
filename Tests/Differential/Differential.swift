import Envoy
import Foundation
import Lab

/// Holds two data planes against each other on random meshes. Needs root.
@main
enum Differential {
    static func main() async {
        let arguments = Array(CommandLine.arguments.dropFirst())
        // Each lab runs in a process of its own, and that is this program again.
        if arguments == ["worker"] { await LabWorker.main() }
        do {
            let options = try Options(arguments)
            if let index = options.printed {
                print(MeshGenerator.mesh(seed: options.seed, index: index).text, terminator: "")
                exit(0)
            }
            guard geteuid() == 0 else {
                report("labs are made of network namespaces: run this as root")
                exit(3)
            }
            exit(try await DifferentialRun(options).run() ? 0 : 1)
        } catch {
            report("\(error)")
            exit(error is ToolError ? 2 : error is EnvoyLocator.NotFound ? 3 : 4)
        }
    }

    private static func report(_ text: String) { FileHandle.standardError.write(Data((text + "\n").utf8)) }
}
