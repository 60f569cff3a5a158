import RegularExpressions

extension VirtualService.HTTPRoute {
    private static let fields: FieldNames = """
        name match route redirect directResponse delegate rewrite timeout retries fault mirror mirrors mirrorPercent
        mirrorPercentage corsPolicy headers
        """

    init?(reading field: FieldReader) {
        guard field.check(Self.fields) else { return nil }
        self.init(location: field.location)
        name = field["name"]?.string
        match = (field["match"]?.list ?? []).compactMap { VirtualService.HTTPMatch(reading: $0) }
        route = field["route"].map { VirtualService.Destination.list(reading: $0) } ?? []
        redirect = field["redirect"].flatMap { VirtualService.Redirect(reading: $0) }
        directResponse = field["directResponse"].flatMap { VirtualService.DirectResponse(reading: $0) }
        delegate = field["delegate"].flatMap { VirtualService.Delegate(reading: $0) }
        rewrite = field["rewrite"].flatMap { VirtualService.Rewrite(reading: $0) }
        timeoutMs = field["timeout"]?.milliseconds
        retries = field["retries"].flatMap { VirtualService.Retries(reading: $0) }
        fault = field["fault"].flatMap { VirtualService.Fault(reading: $0) }
        headers = field["headers"].flatMap { VirtualService.HeaderOperations(reading: $0) }
        corsPolicy = field["corsPolicy"].flatMap { VirtualService.CorsPolicy(reading: $0) }
        mirrors = Self.mirrors(field)
        validate(field)
    }

    /// What answers is one of three, and what changes a forwarded request needs one that is forwarded.
    private func validate(_ field: FieldReader) {
        let answers = ["route", "redirect", "directResponse", "delegate"].filter { field[$0] != nil }
        if answers.isEmpty { field.error("an HTTP route needs route", remedy: "or redirect, or directResponse") }
        for extra in answers.dropFirst() {
            field[extra]?.error("\(extra) can't be combined with \(answers[0])")
        }
        for answer in ["redirect", "directResponse"] where field[answer] != nil {
            for name in ["rewrite", "fault"] {
                field[name]?.error("\(name) can't be combined with \(answer)")
            }
        }
    }

    private static func mirrors(_ field: FieldReader) -> [VirtualService.Mirror] {
        var shared: Double?
        if let percent = field["mirrorPercent"] {
            shared = percent.integer(0...100).map(Double.init)
            if let percentage = field["mirrorPercentage"] {
                percentage.error("give only one of mirrorPercent and mirrorPercentage")
            }
        }
        shared = field["mirrorPercentage"]?.percentage ?? shared
        if let mirror = field["mirror"] {
            field["mirrors"]?.error("give only one of mirror and mirrors")
            return VirtualService.Destination(readingDestination: mirror).map {
                [VirtualService.Mirror(destination: $0, percentage: shared ?? 100)]
            } ?? []
        }
        for name in ["mirrorPercent", "mirrorPercentage"] {
            field[name]?.warn("\(name) means nothing without mirror")
        }
        return (field["mirrors"]?.list ?? []).compactMap { element in
            guard element.check("destination percentage"), let target = element.required("destination"),
                let destination = VirtualService.Destination(readingDestination: target)
            else { return nil }
            return VirtualService.Mirror(
                destination: destination, percentage: element["percentage"]?.percentage ?? 100)
        }
    }
}

extension VirtualService.Delegate {
    init?(reading field: FieldReader) {
        guard field.check("name namespace"), let name = field.required("name")?.string else { return nil }
        self.init(name: name, namespace: field["namespace"]?.string, location: field.location)
    }
}

extension VirtualService.Retries {
    private static let fields: FieldNames = """
        attempts perTryTimeout retryOn retryRemoteLocalities retryIgnorePreviousHosts backoff
        """
    /// Envoy's conditions, of HTTP and of gRPC.
    private static let conditions: Set<String> = [
        "5xx", "gateway-error", "reset", "reset-before-request", "connect-failure", "envoy-ratelimited",
        "retriable-4xx", "refused-stream", "retriable-status-codes", "retriable-headers",
        "http3-post-connect-failure", "cancelled", "deadline-exceeded", "internal", "resource-exhausted",
        "unavailable",
    ]

    init?(reading field: FieldReader) {
        guard field.check(Self.fields) else { return nil }
        var on: [String]?
        if let given = field["retryOn"], let text = given.string {
            let words = CaptureLists.elements(text)
            for word in words where !Self.conditions.contains(word) && !Self.isStatus(word) {
                given.error(
                    "\"\(word)\" is no condition to retry on",
                    remedy: NearestName.remedy(for: word, among: Self.conditions.sorted()))
            }
            on = words
        }
        let attempts = field["attempts"]?.integer()
        if attempts == 0, field["perTryTimeout"] != nil || field["retryOn"] != nil {
            field.error("attempts 0 turns retries off and can't be combined with perTryTimeout or retryOn")
        }
        self.init(
            attempts: attempts ?? 0, perTryTimeoutMs: field["perTryTimeout"]?.milliseconds, retryOn: on,
            retryRemoteLocalities: field["retryRemoteLocalities"]?.boolean,
            retryIgnorePreviousHosts: field["retryIgnorePreviousHosts"]?.boolean,
            backoffMs: field["backoff"]?.timeoutMs)
    }

    private static func isStatus(_ word: String) -> Bool { Int(word).map { (100...599).contains($0) } ?? false }
}

extension VirtualService.HTTPMatch {
    private static let fields: FieldNames = """
        name uri scheme method authority headers port sourceLabels gateways queryParams ignoreUriCase withoutHeaders
        sourceNamespace statPrefix
        """

    init?(reading field: FieldReader) {
        guard field.check(Self.fields) else { return nil }
        self.init()
        name = field["name"]?.string
        uri = field["uri"].flatMap { VirtualService.StringMatch(reading: $0) }
        method = field["method"].flatMap { VirtualService.StringMatch(reading: $0) }
        scheme = field["scheme"].flatMap { VirtualService.StringMatch(reading: $0) }
        authority = field["authority"].flatMap { VirtualService.StringMatch(reading: $0) }
        headers = Self.matches(field["headers"])
        withoutHeaders = Self.matches(field["withoutHeaders"])
        queryParams = Self.matches(field["queryParams"])
        port = field["port"]?.port
        sourceLabels = field["sourceLabels"]?.stringMap ?? [:]
        sourceNamespace = field["sourceNamespace"]?.string
        gateways = field["gateways"]?.gatewayNames.map(\.value) ?? []
        ignoreUriCase = field["ignoreUriCase"]?.boolean ?? false
    }

    private static func matches(_ field: FieldReader?) -> [String: VirtualService.StringMatch] {
        var result: [String: VirtualService.StringMatch] = [:]
        for entry in field?.entries ?? [] {
            result[entry.key] =
                entry.field.node.isNull ? .present : VirtualService.StringMatch(reading: entry.field, mayBeEmpty: true)
        }
        return result
    }
}

extension VirtualService.StringMatch {
    /// Reads `{exact: …}`, `{prefix: …}` or `{regex: …}`; an empty one means presence where that has a meaning.
    init?(reading field: FieldReader, mayBeEmpty: Bool = false) {
        guard field.check("exact prefix regex") else { return nil }
        let given = ["exact", "prefix", "regex"].compactMap { field[$0] }
        guard let first = given.first else {
            if mayBeEmpty {
                self = .present
                return
            }
            field.error("give exact, prefix or regex")
            return nil
        }
        guard given.count == 1 else {
            field.error("give only one of exact, prefix and regex")
            return nil
        }
        if field["exact"] != nil {
            guard let text = first.string else { return nil }
            self = .exact(text)
        } else if field["prefix"] != nil {
            guard let text = first.string else { return nil }
            self = .prefix(text)
        } else {
            guard let text = first.regularExpression else { return nil }
            self = .regex(text)
        }
    }
}

extension FieldReader {
    /// A regular expression that Envoy takes.
    var regularExpression: String? {
        guard let text = string else { return nil }
        do {
            _ = try RegularExpression(text)
        } catch {
            self.error("\"\(text)\" is not a regular expression of Envoy's (RE2): \(error)")
            return nil
        }
        return text
    }

    /// `{value: 0.1}`, of 100.
    var percentage: Double? {
        guard check("value") else { return nil }
        guard let field = self["value"] else { return 0 }
        guard let value = field.number else { return nil }
        guard (0...100).contains(value) else {
            field.error("a percentage lies between 0 and 100, not \(field.node.summary)")
            return nil
        }
        return value
    }
}
