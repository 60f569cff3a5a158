import ArgumentParser
import Lab

/// `worker`: one lab in a process of its own; `run` starts it.
struct WorkerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "worker", abstract: "Runs one lab; started by `run`, not by hand.", shouldDisplay: false)

    func run() async { await LabWorker.main() }
}
