import ArgumentParser
import Control
import Foundation
import Manifests

/// `-n`, as kubectl takes it.
struct NamespaceOption: ParsableArguments {
    @Option(name: [.customShort("n"), .customLong("namespace")], help: "The namespace. (default: default)")
    var namespace: String?
}

/// `-f`: files, directories, or `-` for standard input.
struct ManifestFiles: ParsableArguments {
    @Option(
        name: [.customShort("f"), .customLong("filename")],
        help: ArgumentHelp("Manifests: a file, a directory of them, or - for standard input.", valueName: "path"),
        completion: .file())
    var paths: [String] = []

    /// What the files hold.
    func texts() throws -> [ManifestText] { try paths.flatMap(Self.texts) }

    private static func texts(at path: String) throws -> [ManifestText] {
        if path == "-" {
            let data = FileHandle.standardInput.readDataToEndOfFile()
            return [ManifestText(file: "standard input", text: try decoded(data, "standard input"))]
        }
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else {
            throw Failure.input("error: the path \"\(path)\" does not exist")
        }
        guard isDirectory.boolValue else { return [ManifestText(file: path, text: try text(of: path))] }
        let files = try FileManager.default.contentsOfDirectory(atPath: path)
            .filter { name in [".yaml", ".yml", ".json"].contains { name.hasSuffix($0) } }
            .filter { $0 != ScenarioLocator.fileName && !$0.hasPrefix(".") }.sorted()
        guard !files.isEmpty else { throw Failure.input("error: no *.yaml, *.yml or *.json in the directory \(path)") }
        return try files.map { ManifestText(file: "\(path)/\($0)", text: try text(of: "\(path)/\($0)")) }
    }

    static func text(of path: String) throws -> String {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw Failure.input("error: can't read \(path)")
        }
        return try decoded(data, path)
    }

    private static func decoded(_ data: Data, _ name: String) throws -> String {
        guard let text = String(data: data, encoding: .utf8) else { throw Failure.input("error: \(name) is not text") }
        return text
    }
}

/// What kubectl calls objects on a command line: `KIND NAME…`, `KIND/NAME…`, `KIND,KIND`.
enum ObjectNames {
    /// - Parameter namespace: nil for all.
    static func selections(
        _ words: [String], namespace: String?, selector: String? = nil
    ) throws -> [ObjectSelection] {
        guard let first = words.first else { return [] }
        if first.contains("/") {
            return try words.map { word in
                let parts = word.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
                guard parts.count == 2, !parts.contains("") else {
                    throw Failure.input("error: \"\(word)\" is not KIND/NAME")
                }
                return ObjectSelection(kind: parts[0], names: [parts[1]], namespace: namespace, selector: selector)
            }
        }
        return first.split(separator: ",").map {
            ObjectSelection(
                kind: String($0), names: Array(words.dropFirst()), namespace: namespace, selector: selector)
        }
    }

    /// `NS/POD[:CONTAINER]`, or kubectl's `POD`, `pod/POD`, `deploy/NAME`.
    static func pod(
        _ word: String?, namespace: String?, container: String?, selector: String? = nil
    ) throws -> PodSelection {
        guard let word else {
            guard selector != nil else { throw Failure.input("error: name a pod: NAMESPACE/POD, or POD with -n") }
            return PodSelection(namespace: namespace ?? "default", name: nil, selector: selector, container: container)
        }
        let halves = word.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let own = halves.count > 1 ? halves[1] : nil
        if let own, let container, own != container {
            throw Failure.input("error: \(word) and -c \(container) name two containers")
        }
        let parts = halves[0].split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count <= 3, !parts.contains("") else { throw Failure.input("error: \"\(word)\" is no pod") }
        // `deploy/sleep` is kubectl's, `default/sleep` is a scenario's way to say it.
        if parts.count == 1 || (parts.count == 2 && KindName(typed: parts[0]) != nil) {
            return PodSelection(
                namespace: namespace ?? "default", name: halves[0], container: own ?? container)
        }
        if let namespace, namespace != parts[0] {
            throw Failure.input("error: \(word) and -n \(namespace) name two namespaces")
        }
        return PodSelection(
            namespace: parts[0], name: parts.dropFirst().joined(separator: "/"), container: own ?? container)
    }

    /// `K=V` sets, `K-` takes away.
    static func changes(_ words: [String]) throws -> [String: String?] {
        var changes: [String: String?] = [:]
        for word in words {
            if let sign = word.firstIndex(of: "="), sign != word.startIndex {
                changes[String(word[..<sign])] = .some(String(word[word.index(after: sign)...]))
            } else if word.hasSuffix("-"), word.count > 1 {
                changes[String(word.dropLast())] = .some(nil)
            } else {
                throw Failure.input("error: \"\(word)\" is neither NAME=VALUE nor NAME-")
            }
        }
        return changes
    }

    /// kubectl's switches may be written with their value, and the namespace before the command.
    static func normalized(_ arguments: [String]) -> [String] {
        var isOver = false
        return withNamespaceInside(arguments).compactMap { argument in
            if argument == "--" { isOver = true }
            guard !isOver else { return argument }
            for switchName in ["--ignore-not-found", "--overwrite", "--all-namespaces", "--show-labels", "--follow"] {
                if argument == "\(switchName)=true" { return switchName }
                if argument == "\(switchName)=false" { return nil }
            }
            return argument
        }
    }

    /// `-n NAMESPACE get pods` as `get -n NAMESPACE pods`.
    private static func withNamespaceInside(_ arguments: [String]) -> [String] {
        guard let first = arguments.first else { return arguments }
        let length: Int
        if first == "-n" || first == "--namespace" {
            length = 2
        } else if first.hasPrefix("--namespace=") || (first.hasPrefix("-n") && !first.hasPrefix("--")) {
            length = 1
        } else {
            return arguments
        }
        let command = arguments.dropFirst(length)
        let words = ["set", "rollout", "create"].contains(command.first) ? 2 : 1
        return Array(command.prefix(words) + arguments.prefix(length) + command.dropFirst(words))
    }
}
