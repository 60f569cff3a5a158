import Foundation
import Manifests
import ProxyModel

/// What mesh and Telemetry resources say about the access log of one proxy (observability.md §1).
struct AccessLogPass {
    /// The provider that every mesh has.
    private static let builtIn = "envoy"

    private let mesh: MeshConfig
    private let isIstio10: Bool
    private let telemetry: [[Telemetry.AccessLogging]]
    private let diagnostics: DiagnosticCollector

    /// `telemetry`: what each of the proxy's Telemetry resources says, the widest first.
    init(
        mesh: MeshConfig, telemetry: [[Telemetry.AccessLogging]], isIstio10: Bool, diagnostics: DiagnosticCollector
    ) {
        self.mesh = mesh
        self.telemetry = telemetry
        self.isIstio10 = isIstio10
        self.diagnostics = diagnostics
    }

    /// The logs of what goes out, and those of what comes in where they are others. A gateway is a client.
    func configurations() -> (outbound: [AccessLogConfiguration], inbound: [AccessLogConfiguration]?) {
        if telemetry.isEmpty, mesh.defaultAccessLogProviders?.isEmpty ?? true {
            return ([meshConfiguration(path: mesh.accessLogFile ?? "/dev/stdout")].compactMap(\.self), nil)
        }
        let (client, server) = (configurations(for: .client), configurations(for: .server))
        return (client, client == server ? nil : server)
    }

    // MARK: Telemetry

    /// What is left of a provider's log when all resources have had their say.
    private struct Choice {
        var provider: String
        var filter: Located<String>?
        var location: SourceLocation?
    }

    /// One for each provider, in the order in which they are named.
    private func configurations(for mode: Telemetry.WorkloadMode) -> [AccessLogConfiguration] {
        choices(for: mode).compactMap { choice in
            log(of: choice).map { log in
                var log = log
                log.filter = choice.filter.flatMap(checked)
                return log
            }
        }
    }

    /// Istio: `mergeLogs`. The providers that the most specific resource names are those that log; what is said of each
    /// later holds. A rule without providers means those of the rule before.
    private func choices(for mode: Telemetry.WorkloadMode) -> [Choice] {
        let defaults = mesh.defaultAccessLogProviders ?? []
        var names = defaults.isEmpty ? [Self.builtIn] : defaults
        let inScope = telemetry.map { Set($0.flatMap(\.providers).map(\.value)) }.last { !$0.isEmpty } ?? Set(names)
        var chosen = telemetry.isEmpty ? names.map { Choice(provider: $0) } : []
        for rule in telemetry.joined() {
            if !rule.providers.isEmpty { names = rule.providers.map(\.value) }
            guard rule.mode == .both || rule.mode == mode else { continue }
            for name in names where inScope.contains(name) {
                let place = chosen.firstIndex { $0.provider == name }
                if rule.disabled {
                    if let place { chosen.remove(at: place) }
                    continue
                }
                let location = rule.providers.first { $0.value == name }?.location ?? rule.filter?.location
                let choice = Choice(provider: name, filter: rule.filter, location: location)
                if let place { chosen[place] = choice } else { chosen.append(choice) }
            }
        }
        return chosen
    }

    private func log(of choice: Choice) -> AccessLogConfiguration? {
        if choice.provider == Self.builtIn {
            let path = mesh.accessLogFile ?? ""
            return meshConfiguration(path: path.isEmpty ? "/dev/stdout" : path)
        }
        guard let provider = mesh.fileAccessLogs?.first(where: { $0.name == choice.provider }) else {
            let isKnown = mesh.providerNames?.contains(choice.provider) ?? false
            diagnostics.warn(
                isKnown
                    ? "the provider \(choice.provider) writes no file, so its log is not kept"
                    : "there is no provider \(choice.provider) among the mesh's extensionProviders, so nothing is logged "
                        + "by it",
                remedy: "name a provider with envoyFileAccessLog, or \(Self.builtIn)", at: choice.location)
            return nil
        }
        switch provider.format {
        case .text(let text):
            check([text], of: "logFormat", at: provider.location)
            return AccessLogConfiguration(path: provider.path, format: .text(text))
        case .labels(let labels):
            check(labels.sorted { $0.key < $1.key }.map(\.value), of: "logFormat", at: provider.location)
            return AccessLogConfiguration(path: provider.path, format: .json(labels))
        case nil: return AccessLogConfiguration(path: provider.path, format: isIstio10 ? .istio10Text : .istioText)
        }
    }

    private func checked(_ filter: Located<String>) -> String {
        do throws(LogExpression.Invalid) {
            _ = try LogExpression(filter.value)
        } catch {
            diagnostics.unsupported(
                "the filter's expression can't be worked out: \(error)",
                remedy: "see Envoy's \"Attributes\" for what there is", at: filter.location)
        }
        return filter.value
    }

    // MARK: The mesh

    /// nil where `accessLogFile` is empty. Where it is not set at all, Istio 1.0 logged and later releases don't; the lab
    /// logs all the same, in the release's own format, because logs are what its users look at.
    private func meshConfiguration(path: String) -> AccessLogConfiguration? {
        guard !path.isEmpty else { return nil }
        let isJSON = mesh.accessLogEncoding?.uppercased() == "JSON"
        let builtIn: AccessLogConfiguration.Format =
            isJSON ? .istioJSON : isIstio10 ? .istio10Text : .istioText
        guard let custom = mesh.accessLogFormat, !custom.value.isEmpty else {
            return AccessLogConfiguration(path: path, format: builtIn)
        }
        guard isJSON else {
            check([custom.value], of: "accessLogFormat", at: custom.location)
            return AccessLogConfiguration(path: path, format: .text(custom.value))
        }
        guard let keys = try? JSONDecoder().decode([String: String].self, from: Data(custom.value.utf8)) else {
            diagnostics.warn(
                "accessLogFormat is not a JSON object of strings, so the default format is used",
                remedy: "write an object whose values are command operators, or choose accessLogEncoding TEXT",
                at: custom.location)
            return AccessLogConfiguration(path: path, format: builtIn)
        }
        check(keys.sorted { $0.key < $1.key }.map(\.value), of: "accessLogFormat", at: custom.location)
        return AccessLogConfiguration(path: path, format: .json(keys))
    }

    private func check(_ formats: [String], of field: String, at location: SourceLocation) {
        for text in formats.flatMap(AccessLogPiece.unknownOperators) {
            diagnostics.add(
                Diagnostic(
                    .error, "\(field): there is no command operator \(text); Envoy refuses the whole format",
                    remedy: "see Envoy's \"Access logging\" for those there are", at: location))
        }
        for text in formats.flatMap(AccessLogPiece.operatorsWithoutValue) {
            diagnostics.warn(
                "\(field): the bundled proxy has no value for \(text), so it is always absent there",
                at: location)
        }
    }
}

/// Finds the Telemetry resources of workloads: one each of the root namespace, of the workload's, and of the workload.
struct TelemetryIndex {
    private let resources: [Telemetry]
    private let rootNamespace: String

    /// `resources` are in order of age, oldest first.
    init(_ resources: [Telemetry], rootNamespace: String) {
        self.resources = resources
        self.rootNamespace = rootNamespace
    }

    /// What each of them says of access logs, the widest first.
    func accessLogging(namespace: String, labels: [String: String]) -> [[Telemetry.AccessLogging]] {
        func wide(_ namespace: String) -> Telemetry? {
            resources.first { $0.metadata.namespace == namespace && $0.selector == nil }
        }
        let own = resources.first {
            $0.metadata.namespace == namespace && ($0.selector.map(labels.hasAll) ?? false)
        }
        let all = [wide(rootNamespace), namespace == rootNamespace ? nil : wide(namespace), own]
        return all.compactMap { $0?.accessLogging }.filter { !$0.isEmpty }
    }
}
