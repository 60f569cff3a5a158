import ArgumentParser

@main
struct EgressLab: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "egress-lab")
}
