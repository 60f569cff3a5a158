import ArgumentParser
import Glibc

/// The program: parses the command line, runs one command, and turns whatever ended it into an exit status.
@main
struct EgressLab: AsyncParsableCommand {
    static let version = "0.1.0"

    static let configuration = CommandConfiguration(
        commandName: "egress-lab",
        abstract: "Builds a sealed lab from Istio and Kubernetes manifests and shows which egress flows escape.",
        discussion: """
            Exit status: 0 everything expected was observed; 1 something else was observed; 2 the input is wrong; \
            3 this machine can't run labs; 4 the lab failed or evidence was lost.
            """,
        version: version,
        subcommands: [
            RunCommand.self, ValidateCommand.self, RenderCommand.self, DoctorCommand.self, ProxyCommand.self,
            UpCommand.self, DownCommand.self, StatusCommand.self, ExecCommand.self, ApplyCommand.self,
            CreateCommand.self, ReplaceCommand.self, DeleteCommand.self, GetCommand.self, LogsCommand.self,
            StatsCommand.self,
            LabelCommand.self, AnnotateCommand.self, SetCommand.self, RestartCommand.self, RolloutCommand.self,
            OutboundTrafficPolicyCommand.self, WorkerCommand.self, StandingLabCommand.self,
        ])

    static func main() async {
        // A reader that went away is told by write's error, as is a closed connection.
        signal(SIGPIPE, SIG_IGN)
        var status = ExitStatus.expected
        let arguments = Array(CommandLine.arguments.dropFirst())
        do {
            if let proxy = ProxyProgram(plain: arguments) {
                try await proxy.run()
                Glibc.exit(status.rawValue)
            }
            try refuseLaterCommands(arguments)
            var command = try parseAsRoot(ObjectNames.normalized(arguments))
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            status = told(error)
        }
        Glibc.exit(status.rawValue)
    }

    /// Commands of the interface that this version does not have yet: better named than called unexpected.
    private static let laterCommands = [
        "probe", "explain", "diff",
    ]

    private static func refuseLaterCommands(_ arguments: some Collection<String>) throws {
        if let name = arguments.first, laterCommands.contains(name) { throw Failure.later("the command '\(name)'") }
    }

    /// Says on the right stream why the command ended, and what status that is.
    private static func told(_ error: any Error) -> ExitStatus {
        switch error {
        case let status as ExitStatus: return status
        case let failure as Failure:
            // What kubectl says is said as kubectl says it.
            let isKubectls = failure.message.hasPrefix("error:") || failure.message.hasPrefix("Error from server")
            Console.diagnose(isKubectls ? failure.message : "egress-lab: \(failure.message)")
            return failure.status
        default:
            let message = fullMessage(for: error)
            // ArgumentParser ends help and version requests with an "error" of status 0.
            guard exitCode(for: error).isSuccess else {
                Console.diagnose(message)
                return .wrongInput
            }
            Console.report(message + "\n")
            return .expected
        }
    }
}
