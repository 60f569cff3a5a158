import ArgumentParser

/// `proxy --config FILE`: the bundled proxy alone, in the namespace it is started in.
struct ProxyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "proxy",
        abstract: "Runs the bundled proxy alone, from the JSON that `render --what proxy` prints.",
        discussion:
            "The access log goes to standard output. SIGTERM drains connections and ends it; a second one doesn't wait."
    )

    @Option(help: "The proxy's configuration.", completion: .file(extensions: ["json"]))
    var config: String

    func run() async throws { try await ProxyProgram(config: config).run() }
}
