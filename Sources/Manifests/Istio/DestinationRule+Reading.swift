extension DestinationRule {
    private static let fields: FieldNames = "host trafficPolicy subsets exportTo workloadSelector"

    /// Reads `networking.istio.io/DestinationRule` with Istio's validation (ValidateDestinationRule).
    init?(reading object: ObjectReader) {
        guard let spec = object.spec(Self.fields), let host = spec.required("host")?.locatedString else { return nil }
        if !HostName.isValid(host.value) {
            spec["host"]?.error("\"\(host.value)\" is not a host name")
        }
        var names: Set<String> = []
        let subsets = (spec["subsets"]?.list ?? []).compactMap { field -> Subset? in
            guard field.check("name labels trafficPolicy"), let name = field.required("name")?.string else {
                return nil
            }
            if !HostName.isLabel(name) { field["name"]?.error("\"\(name)\" is no subset name") }
            if !names.insert(name).inserted { field["name"]?.error("the subset \(name) is given twice") }
            return Subset(
                name: name, labels: field["labels"]?.stringMap ?? [:],
                trafficPolicy: field["trafficPolicy"].flatMap { TrafficPolicy(reading: $0) },
                location: field.location)
        }
        var selector: [String: String]?
        if let field = spec["workloadSelector"] {
            field.check("matchLabels")
            selector = field["matchLabels"]?.stringMap
        }
        self.init(
            metadata: object.metadata, host: host,
            trafficPolicy: spec["trafficPolicy"].flatMap { TrafficPolicy(reading: $0) }, subsets: subsets,
            workloadSelector: selector, exportTo: spec["exportTo"].map(\.exportTo) ?? ["*"])
    }
}
