import ArgumentParser
import Control
import Foundation

/// `create -f`, `create namespace`, `create configmap`, `create secret`.
struct CreateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Creates objects of a lab; it is an error if they exist.",
        subcommands: [FromFile.self, Namespace.self, ConfigMap.self, Secret.self, ServiceAccount.self],
        defaultSubcommand: FromFile.self)

    /// Creates one object, which is built here as JSON: every YAML reader takes it.
    private static func create(
        _ object: [String: Any], in namespace: String?, _ lab: LabOptions
    ) throws {
        let data = try JSONSerialization.data(withJSONObject: object, options: [.sortedKeys])
        let manifest = ManifestText(file: "command line", text: String(decoding: data, as: UTF8.self))
        try LabClient(lab).run(
            .apply(
                ApplyRequest(manifests: [manifest], namespace: namespace ?? "default", verb: .create)))
    }

    struct FromFile: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "file", shouldDisplay: false)
        @OptionGroup var files: ManifestFiles
        @OptionGroup var namespace: NamespaceOption
        @OptionGroup var lab: LabOptions

        func run() throws {
            guard !files.paths.isEmpty else {
                throw Failure.input(
                    "error: say what to create: -f FILE, namespace NAME, configmap NAME, secret TYPE NAME")
            }
            let texts = try files.texts()
            try LabClient(lab).run(
                .apply(
                    ApplyRequest(manifests: texts, namespace: namespace.namespace ?? "default", verb: .create)))
        }
    }

    struct Namespace: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "namespace", abstract: "A namespace.", aliases: ["ns"])
        @Argument var name: String
        @OptionGroup var lab: LabOptions

        func run() throws {
            try create(
                ["apiVersion": "v1", "kind": "Namespace", "metadata": ["name": name]], in: nil, lab)
        }
    }

    struct ServiceAccount: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "serviceaccount", abstract: "A service account.", aliases: ["sa"])
        @Argument var name: String
        @OptionGroup var namespace: NamespaceOption
        @OptionGroup var lab: LabOptions

        func run() throws {
            try create(
                ["apiVersion": "v1", "kind": "ServiceAccount", "metadata": ["name": name]], in: namespace.namespace, lab
            )
        }
    }

    /// `--from-file`, `--from-literal`.
    struct Data: ParsableArguments {
        @Option(help: ArgumentHelp("A file, or KEY=FILE.", valueName: "[key=]path"), completion: .file())
        var fromFile: [String] = []
        @Option(help: ArgumentHelp("A value.", valueName: "key=value"))
        var fromLiteral: [String] = []

        func values() throws -> [String: String] {
            var values: [String: String] = [:]
            func set(_ key: String, _ text: String) throws {
                guard values.updateValue(text, forKey: key) == nil else {
                    throw Failure.input("error: the key \(key) is given twice")
                }
            }
            for word in fromFile {
                let parts = word.split(separator: "=", maxSplits: 1).map(String.init)
                let path = parts.last ?? ""
                let key = parts.count > 1 ? parts[0] : path.split(separator: "/").last.map(String.init) ?? path
                try set(key, ManifestFiles.text(of: path))
            }
            for word in fromLiteral {
                guard let sign = word.firstIndex(of: "="), sign != word.startIndex else {
                    throw Failure.input("error: --from-literal \(word) is not KEY=VALUE")
                }
                try set(String(word[..<sign]), String(word[word.index(after: sign)...]))
            }
            return values
        }
    }

    struct ConfigMap: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "configmap", abstract: "A ConfigMap of files and values.", aliases: ["cm"])
        @Argument var name: String
        @OptionGroup var data: Data
        @OptionGroup var namespace: NamespaceOption
        @OptionGroup var lab: LabOptions

        func run() throws {
            try create(
                ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": name], "data": try data.values()],
                in: namespace.namespace, lab)
        }
    }

    struct Secret: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "secret", abstract: "A Secret: generic NAME, or tls NAME.",
            subcommands: [Generic.self, TLS.self])

        struct Generic: ParsableCommand {
            static let configuration = CommandConfiguration(commandName: "generic", abstract: "Of files and values.")
            @Argument var name: String
            @OptionGroup var data: Data
            @OptionGroup var namespace: NamespaceOption
            @OptionGroup var lab: LabOptions

            func run() throws {
                try create(
                    [
                        "apiVersion": "v1", "kind": "Secret", "metadata": ["name": name], "type": "Opaque",
                        "stringData": try data.values(),
                    ], in: namespace.namespace, lab)
            }
        }

        struct TLS: ParsableCommand {
            static let configuration = CommandConfiguration(
                commandName: "tls", abstract: "Of a certificate and its key.")
            @Argument var name: String
            @Option(completion: .file()) var cert: String
            @Option(completion: .file()) var key: String
            @OptionGroup var namespace: NamespaceOption
            @OptionGroup var lab: LabOptions

            func run() throws {
                try create(
                    [
                        "apiVersion": "v1", "kind": "Secret", "metadata": ["name": name],
                        "type": "kubernetes.io/tls",
                        "stringData": [
                            "tls.crt": try ManifestFiles.text(of: cert), "tls.key": try ManifestFiles.text(of: key),
                        ],
                    ], in: namespace.namespace, lab)
            }
        }
    }
}
