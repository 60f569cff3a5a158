import ProxyModel

/// Renders the conditions of routes: Envoy's `config.route.v3.RouteMatch`.
struct RouteMatchRendering {
    /// Which route it is, for errors.
    let place: String

    func render(_ match: RouteMatch) throws(EnvoyRenderingError) -> JSON {
        var result = Self.path(match.path, ignoresCase: match.ignoresCase)
        if match.ignoresCase { result["case_sensitive"] = false }
        if !match.headers.isEmpty { result["headers"] = .array(match.headers.map(Self.header)) }
        if !match.queryParameters.isEmpty {
            var parameters: [JSON] = []
            for field in match.queryParameters { parameters.append(try queryParameter(field)) }
            result["query_parameters"] = .array(parameters)
        }
        return .object(result)
    }

    private static func path(_ match: StringMatch?, ignoresCase: Bool) -> [String: JSON] {
        switch match {
        case nil, .present: ["prefix": ""]
        case .exact(let text): ["path": .string(text)]
        case .prefix(let text): ["prefix": .string(text)]
        // Envoy has no suffix for paths, and its `case_sensitive` has no effect on expressions.
        case .suffix(let text):
            ["safe_regex": ["regex": .string((ignoresCase ? "(?is)" : "(?s)") + ".*" + quoted(text))]]
        case .regex(let pattern): ["safe_regex": regex(pattern)]
        }
    }

    private static func header(_ field: RouteMatch.Field) -> JSON {
        var result: [String: JSON] = ["name": .string(field.name.lowercased())]
        if case .present = field.match {
            result["present_match"] = true
        } else {
            result["string_match"] = stringMatch(field.match)
            if field.inverted { result["treat_missing_header_as_empty"] = true }
        }
        if field.inverted { result["invert_match"] = true }
        return .object(result)
    }

    private func queryParameter(_ field: RouteMatch.Field) throws(EnvoyRenderingError) -> JSON {
        if field.inverted {
            throw EnvoyRenderingError(
                place: place, problem: "Envoy has no inverted match of query parameter '\(field.name)'",
                remedy: "match what it may be instead")
        }
        if case .present = field.match { return ["name": .string(field.name), "present_match": true] }
        return ["name": .string(field.name), "string_match": Self.stringMatch(field.match)]
    }

    /// Envoy: `type.matcher.v3.StringMatcher`, which wants no empty prefixes and suffixes.
    static func stringMatch(_ match: StringMatch) -> JSON {
        switch match {
        case .exact(let text): ["exact": .string(text)]
        case .prefix(""), .suffix(""), .present: ["safe_regex": ["regex": "(?s).*"]]
        case .prefix(let text): ["prefix": .string(text)]
        case .suffix(let text): ["suffix": .string(text)]
        case .regex(let pattern): ["safe_regex": regex(pattern)]
        }
    }

    /// An empty expression is one that Envoy refuses.
    private static func regex(_ pattern: String) -> JSON { ["regex": .string(pattern.isEmpty ? "(?:)" : pattern)] }

    private static func quoted(_ text: String) -> String {
        text.map { #"\.+*?()|[]{}^$"#.contains($0) ? "\\\($0)" : String($0) }.joined()
    }
}
