import ArgumentParser
import Control

/// `apply -f`.
struct ApplyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apply", abstract: "Creates or changes objects of a lab; in force everywhere when it returns.")

    @OptionGroup var files: ManifestFiles
    @OptionGroup var namespace: NamespaceOption
    @OptionGroup var lab: LabOptions

    func run() throws {
        guard !files.paths.isEmpty else { throw Failure.input("error: must specify one of -f") }
        let texts = try files.texts()
        try LabClient(lab).run(.apply(ApplyRequest(manifests: texts, namespace: namespace.namespace ?? "default")))
    }
}

/// `replace -f`.
struct ReplaceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replace", abstract: "Changes objects of a lab; it is an error if they don't exist.")

    @OptionGroup var files: ManifestFiles
    @OptionGroup var namespace: NamespaceOption
    @OptionGroup var lab: LabOptions

    func run() throws {
        guard !files.paths.isEmpty else { throw Failure.input("error: must specify one of -f") }
        let texts = try files.texts()
        try LabClient(lab).run(
            .apply(ApplyRequest(manifests: texts, namespace: namespace.namespace ?? "default", verb: .replace)))
    }
}

/// `delete -f FILE`, `delete KIND NAME…`.
struct DeleteCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Deletes objects of a lab: of manifests, or by kind and name.")

    @Argument(help: "KIND NAME…, or KIND/NAME…") var words: [String] = []
    @OptionGroup var files: ManifestFiles
    @OptionGroup var namespace: NamespaceOption
    @OptionGroup var lab: LabOptions
    @Option(name: [.customShort("l"), .customLong("selector")], help: "Those with these labels.") var selector: String?
    @Flag(help: "All of the kind in the namespace.") var all = false
    @Flag(help: "What is not there is no error.") var ignoreNotFound = false

    func run() throws {
        let texts = try files.texts()
        let selections = try ObjectNames.selections(
            words, namespace: namespace.namespace ?? "default", selector: selector)
        guard !texts.isEmpty || !selections.isEmpty else {
            throw Failure.input("error: say what to delete: -f FILE, or KIND NAME")
        }
        if texts.isEmpty, !all, selector == nil, selections.contains(where: { $0.names.isEmpty }) {
            throw Failure.input("error: resource(s) were provided, but no name was specified")
        }
        try LabClient(lab).run(
            .delete(
                DeleteRequest(
                    manifests: texts, selections: selections, namespace: namespace.namespace ?? "default",
                    ignoresNotFound: ignoreNotFound)))
    }
}

/// `label KIND NAME K=V K-`.
struct LabelCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "label", abstract: "Changes labels of an object: NAME=VALUE sets, NAME- takes away.")

    @OptionGroup var arguments: MetadataArguments
    func run() throws {
        try arguments.run { .labels($0, overwrites: arguments.overwrite) }
    }
}

/// `annotate KIND NAME K=V K-`.
struct AnnotateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "annotate", abstract: "Changes annotations of an object: NAME=VALUE sets, NAME- takes away.")

    @OptionGroup var arguments: MetadataArguments
    func run() throws {
        try arguments.run { .annotations($0, overwrites: arguments.overwrite) }
    }
}

/// What `label` and `annotate` take alike.
struct MetadataArguments: ParsableArguments {
    @Argument(help: "KIND NAME or KIND/NAME, then NAME=VALUE or NAME-") var words: [String] = []
    @OptionGroup var namespace: NamespaceOption
    @OptionGroup var lab: LabOptions
    @Option(name: [.customShort("l"), .customLong("selector")], help: "Those with these labels.") var selector: String?
    @Flag(help: "A value that is there already may change.") var overwrite = false

    func run(_ change: ([String: String?]) -> EditRequest.Change) throws {
        let isChange: (String) -> Bool = { $0.contains("=") || $0.hasSuffix("-") }
        let objects = words.prefix { !isChange($0) }
        let changes = try ObjectNames.changes(Array(words.dropFirst(objects.count)))
        let selections = try ObjectNames.selections(
            Array(objects), namespace: namespace.namespace ?? "default", selector: selector)
        guard let selection = selections.first, selections.count == 1 else {
            throw Failure.input("error: one or more objects must be named as KIND NAME or KIND/NAME")
        }
        guard !changes.isEmpty else { throw Failure.input("error: at least one NAME=VALUE or NAME- is needed") }
        guard !selection.names.isEmpty || selector != nil else {
            throw Failure.input("error: name an object of kind \(selection.kind), or labels with -l")
        }
        try LabClient(lab).run(.edit(EditRequest(selection: selection, change: change(changes))))
    }
}

/// `set env KIND/NAME K=V K-`.
struct SetCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set", abstract: "Changes fields of objects.", subcommands: [Environment.self])

    struct Environment: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "env", abstract: "Changes variables of a workload's containers; its pods start anew.")

        @Argument(help: "KIND/NAME, then NAME=VALUE or NAME-") var words: [String]
        @OptionGroup var namespace: NamespaceOption
        @OptionGroup var lab: LabOptions
        @Option(name: [.customShort("c"), .customLong("container")], help: "Of this container alone.")
        var container: String?

        func run() throws {
            let objects = words.prefix { !$0.contains("=") && !$0.hasSuffix("-") }
            let changes = try ObjectNames.changes(Array(words.dropFirst(objects.count)))
            let selections = try ObjectNames.selections(Array(objects), namespace: namespace.namespace ?? "default")
            guard let selection = selections.first, selections.count == 1, !selection.names.isEmpty, !changes.isEmpty
            else { throw Failure.input("error: write set env deployment/NAME NAME=VALUE") }
            try LabClient(lab).run(
                .edit(EditRequest(selection: selection, change: .environment(changes, container: container))))
        }
    }
}

/// `restart KIND/NAME`: also as kubectl's `rollout restart`.
struct RestartCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restart",
        abstract: "Starts the pods of a workload anew: injection and capture are looked up then.")

    @Argument(help: "KIND/NAME, or KIND NAME") var words: [String]
    @OptionGroup var namespace: NamespaceOption
    @OptionGroup var lab: LabOptions

    func run() throws {
        let selections = try ObjectNames.selections(words, namespace: namespace.namespace ?? "default")
        guard selections.allSatisfy({ !$0.names.isEmpty }) else {
            throw Failure.input("error: name a workload: restart deployment/NAME")
        }
        try LabClient(lab).run(.restart(selections))
    }
}

/// `rollout restart`.
struct RolloutCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rollout", abstract: "kubectl's way to restart.", subcommands: [RestartCommand.self])
}

/// `outbound-traffic-policy allowed|restricted`.
struct OutboundTrafficPolicyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "outbound-traffic-policy",
        abstract: "Lets sidecars reach every host (allowed), or only what the registry knows (restricted).")

    @Argument(help: "allowed or restricted") var mode: OutboundTrafficPolicyMode
    @OptionGroup var lab: LabOptions

    func run() throws { try LabClient(lab).run(.outboundTrafficPolicy(mode)) }
}

extension OutboundTrafficPolicyMode: ExpressibleByArgument {}
