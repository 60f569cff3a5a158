/// `telemetry.istio.io/Telemetry`: what proxies log.
package struct Telemetry: Resource, Equatable {
    /// Which side of a connection a proxy is on.
    package enum WorkloadMode: String, Sendable, CaseIterable {
        case both = "CLIENT_AND_SERVER"
        case client = "CLIENT"
        case server = "SERVER"
    }

    /// An element of `accessLogging`.
    package struct AccessLogging: Sendable, Equatable {
        package var mode: WorkloadMode
        /// Names of providers; empty: those of the wider resource, or the mesh's.
        package var providers: [Located<String>]
        package var disabled: Bool
        /// `filter.expression`, in the Common Expression Language.
        package var filter: Located<String>?
    }

    package static let kind = "Telemetry"
    package var metadata: ObjectMeta
    /// nil: every workload of the namespace; in the root namespace, of the mesh.
    package var selector: [String: String]?
    package var accessLogging: [AccessLogging]

    package init(
        metadata: ObjectMeta, selector: [String: String]? = nil, accessLogging: [AccessLogging] = []
    ) {
        self.metadata = metadata
        self.selector = selector
        self.accessLogging = accessLogging
    }
}

extension Telemetry {
    private static let rootFields: FieldNames = "apiVersion kind metadata spec status"

    /// Reads `telemetry.istio.io/Telemetry`. Traces go nowhere in a lab, and metrics are always counted.
    init?(reading object: ObjectReader) {
        object.root.check(Self.rootFields)
        self.init(metadata: object.metadata)
        guard let spec = object.root["spec"], spec.check("selector targetRef targetRefs accessLogging metrics tracing")
        else { return }
        if let field = spec["selector"], field.check("matchLabels") {
            let labels = field["matchLabels"]?.stringMap ?? [:]
            selector = labels.isEmpty ? nil : labels
        }
        for name in ["targetRef", "targetRefs"] where spec[name] != nil {
            spec[name]?.refuse("\(name) of a Telemetry is not supported yet", remedy: "select the workload by labels")
        }
        for name in ["metrics", "tracing"] where spec[name] != nil {
            spec[name]?.warn("\(name) of a Telemetry changes nothing here")
        }
        accessLogging = spec["accessLogging"]?.list.compactMap { Self.accessLogging($0) } ?? []
    }

    private static func accessLogging(_ field: FieldReader) -> AccessLogging? {
        guard field.check("match providers disabled filter") else { return nil }
        var result = AccessLogging(mode: .both, providers: [], disabled: false, filter: nil)
        if let match = field["match"], match.check("mode") {
            result.mode = match["mode"]?.choice(WorkloadMode.self) ?? .both
        }
        for provider in field["providers"]?.list ?? [] where provider.check("name") {
            if let name = provider.required("name")?.locatedString { result.providers.append(name) }
        }
        result.disabled = field["disabled"]?.laxBoolean ?? false
        if let filter = field["filter"], filter.check("expression") {
            result.filter = filter["expression"]?.locatedString
        }
        return result
    }
}
