import ArgumentParser
import Control
import Envoy
import Foundation
import Glibc
import Lab
import Manifests
import Standing

/// `up PATH`: a lab that runs on in the background.
struct UpCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "up",
        abstract: "Brings a lab up and leaves it running: of a scenario's manifests, without its steps.")

    @Argument(help: "A scenario, or a file or directory of manifests.", completion: .file())
    var path: String

    @Option(help: ArgumentHelp("What the lab is called. (default: $EGRESS_LAB_NAME, else lab)", valueName: "name"))
    var name: String = LabOptions.environment ?? LabRegistry.defaultName

    @Option(help: ArgumentHelp("What runs as proxies: bundled or envoy.", valueName: "name"))
    var dataPlane: Scenario.DataPlaneKind?

    @Option(help: ArgumentHelp("The program for data plane envoy.", valueName: "path"))
    var envoy: String?

    func run() async throws {
        let inputs = Input.resolve([path])
        guard inputs.count == 1, let input = inputs.first else {
            throw Failure.input("egress-lab: \(path) holds \(inputs.count) scenarios; name one of them")
        }
        let read = ReadInputs([input], dataPlane: dataPlane)
        try read.requireUsable()
        if let obstacle = Preflight().obstacle() { throw Failure(status: .cannotRun, message: obstacle) }
        var program: String?
        if (dataPlane ?? read.scenarios.first?.dataPlane ?? .bundled) == .envoy {
            do {
                program = try EnvoyLocator(path: envoy).find()
            } catch {
                throw Failure(status: .cannotRun, message: "\(error)")
            }
        }
        let registry = LabRegistry()
        let reservation: LabRegistry.Reservation
        do {
            reservation = try registry.reserve(name)
        } catch let failure as LabRegistry.Failure {
            throw Failure.input("egress-lab: \(failure)")
        } catch {
            throw Failure(status: .cannotRun, message: "egress-lab: \(error)")
        }
        let job = StandingLabJob(name: name, input: StandingLabJob.Input(input), dataPlane: dataPlane, envoy: program)
        switch try StandingLabProcess.start(job, at: reservation) {
        case .up(let summary):
            Console.report("lab '\(name)' is up: \(summary)\n")
        case .failed(let message, let status):
            registry.remove(name)
            throw Failure(status: ExitStatus(rawValue: status) ?? .labFailed, message: message)
        }
    }
}

extension StandingLabJob.Input {
    fileprivate init(_ input: Input) {
        switch input {
        case .scenario(let file): self = .scenario(file: file)
        case .manifests(let path): self = .manifests(path: path)
        }
    }
}

/// `down`: takes a lab away.
struct DownCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "down", abstract: "Takes a lab away.")

    @OptionGroup var lab: LabOptions
    @Flag(help: "All labs.") var all = false

    func run() throws {
        let names = all ? LabRegistry().names() : [lab.name].compactMap(\.self)
        if all, names.isEmpty { throw ExitStatus.expected }
        guard all else { try LabClient(lab).run(.down) }
        for name in names {
            var options = LabOptions()
            options.name = name
            try LabClient(options).end()
        }
    }
}

/// `status`: what runs in a lab, and who called whom.
struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Lists the pods of a lab, or with --flows who called whom, and by which way.")

    @OptionGroup var lab: LabOptions
    @Flag(help: "Who called whom: by which way, with what answer.") var flows = false
    @Flag(name: .shortAndLong, help: "Again whenever it changes, until ^C.") var watch = false

    func run() throws { try LabClient(lab).run(.status(StatusRequest(flows: flows, watch: watch))) }
}

/// The process of a lab that stays up; `up` starts it.
struct StandingLabCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "standing-lab", abstract: "Runs one lab; started by `up`, not by hand.", shouldDisplay: false)

    func run() async { await StandingLabProcess.main() }
}
