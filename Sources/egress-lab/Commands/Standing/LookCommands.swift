import ArgumentParser
import Control
import Glibc

/// `get KIND [NAME]`.
struct GetCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "get", abstract: "Shows objects of a lab, as kubectl does.")

    @Argument(help: "KIND [NAME…], KIND/NAME…, or KIND,KIND") var words: [String]
    @OptionGroup var namespace: NamespaceOption
    @OptionGroup var lab: LabOptions
    @Flag(name: [.customShort("A"), .customLong("all-namespaces")], help: "Of all namespaces.") var allNamespaces =
        false
    @Option(name: [.customShort("l"), .customLong("selector")], help: "Those with these labels.") var selector: String?
    @Option(
        name: [.customShort("o", allowingJoined: true), .customLong("output")],
        help: "yaml, json, name, wide, jsonpath=TEMPLATE")
    var output: String?
    @Flag(help: "Without the line of column names.") var noHeaders = false
    @Flag(help: "With all labels.") var showLabels = false

    func run() throws {
        let selections = try ObjectNames.selections(
            words, namespace: allNamespaces ? nil : namespace.namespace ?? "default", selector: selector)
        try LabClient(lab).run(
            .get(
                GetRequest(
                    selections: selections, output: try format(), showsHeaders: !noHeaders, showsLabels: showLabels)))
    }

    private func format() throws -> GetRequest.Output {
        guard var text = output else { return .table }
        if text.hasPrefix("=") { text.removeFirst() }
        switch text {
        case "yaml": return .yaml
        case "json": return .json
        case "name": return .name
        case "wide": return .wide
        case _ where text.hasPrefix("jsonpath="): return .jsonPath(String(text.dropFirst(9)))
        default:
            throw Failure.input(
                "error: unable to match a printer suitable for the output format \"\(text)\"; allowed are json, jsonpath=…, name, wide, yaml"
            )
        }
    }
}

/// `logs POD`.
struct LogsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logs",
        abstract: "Prints a log of a pod: its proxy's, or that of a program in a container's place.")

    @Argument(help: "NAMESPACE/POD[:CONTAINER], or POD with -n, or deploy/NAME") var pod: String?
    @OptionGroup var namespace: NamespaceOption
    @OptionGroup var lab: LabOptions
    @Option(name: [.customShort("c"), .customLong("container")], help: "The container. (default: the proxy's)")
    var container: String?
    @Option(name: [.customShort("l"), .customLong("selector")], help: "Of the pods with these labels.")
    var selector: String?
    @Flag(name: [.customShort("f"), .customLong("follow")], help: "And what is added to it, until ^C.") var follow =
        false
    @Option(help: "The newest lines only.") var tail: Int?

    func run() throws {
        // kubectl's -1 is all of them.
        let lines = tail.flatMap { $0 < 0 ? nil : $0 }
        let selection = try ObjectNames.pod(
            pod, namespace: namespace.namespace, container: container, selector: selector)
        try LabClient(lab).run(.logs(LogsRequest(pod: selection, follows: follow, tail: lines)))
    }
}

/// `stats POD`.
struct StatsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stats", abstract: "Prints the statistics of a pod's proxy, as pilot-agent request GET stats does."
    )

    @Argument(help: "NAMESPACE/POD, or POD with -n, or deploy/NAME") var pod: String
    @OptionGroup var namespace: NamespaceOption
    @OptionGroup var lab: LabOptions
    @Option(help: ArgumentHelp("Only names that match somewhere.", valueName: "regex")) var filter: String?

    func run() throws {
        let selection = try ObjectNames.pod(pod, namespace: namespace.namespace, container: nil)
        try LabClient(lab).run(.statistics(StatisticsRequest(pod: selection, filter: filter)))
    }
}

/// `exec POD -- COMMAND`.
struct ExecCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "exec",
        abstract: "Runs a real command in a pod: with its network, resolver and user; ends with the command's status.")

    @Argument(help: "NAMESPACE/POD[:CONTAINER], or POD with -n, or deploy/NAME") var pod: String
    @Argument(parsing: .postTerminator, help: "The command, after --.") var command: [String] = []
    @OptionGroup var namespace: NamespaceOption
    @OptionGroup var lab: LabOptions
    @Option(name: [.customShort("c"), .customLong("container")], help: "The container. (default: the first)")
    var container: String?
    @Flag(name: [.customShort("i"), .customLong("stdin")], help: "With standard input.") var stdin = false
    @Flag(name: [.customShort("t"), .customLong("tty")], help: "With a terminal.") var tty = false

    func run() throws {
        guard !command.isEmpty else {
            throw Failure.input("error: you must specify at least one command for the container, after --")
        }
        let selection = try ObjectNames.pod(pod, namespace: namespace.namespace, container: container)
        let isTerminal = tty && isatty(STDIN_FILENO) == 1
        if tty, !isTerminal { Console.diagnose("Unable to use a TTY - input is not a terminal") }
        let type = getenv("TERM").map { String(cString: $0) }
        let request = ExecuteRequest(pod: selection, command: command, isTerminal: isTerminal, terminalType: type)
        if isTerminal { try LabClient(lab).run(.execute(request)) }
        let input = stdin ? STDIN_FILENO : open("/dev/null", O_RDONLY | O_CLOEXEC)
        try LabClient(lab).run(.execute(request), descriptors: [input, STDOUT_FILENO, STDERR_FILENO])
    }
}
