import ProxyModel

/// Renders what routes do besides forwarding: Envoy's `RedirectAction`, `HTTPFault`, header mutations and mirrors.
enum RouteActionRendering {
    /// The name of the filter, and of its settings in routes.
    static let faultFilter = "envoy.filters.http.fault"
    private static let faultType = "envoy.extensions.filters.http.fault.v3.HTTPFault"

    /// The filter itself: it does what routes say.
    static let faultFilterWithoutFaults: JSON = ["name": .string(faultFilter), "typed_config": .typed(faultType)]

    private static let corsType = "envoy.extensions.filters.http.cors.v3"
    /// The filter for pages of other origins: it, too, does what routes say.
    static let corsFilter: JSON = ["name": "envoy.filters.http.cors", "typed_config": .typed("\(corsType).Cors")]

    static func cors(_ policy: CorsPolicy) -> JSON {
        func given(_ text: String) -> JSON? { text.isEmpty ? nil : .string(text) }
        return .typed(
            "\(corsType).CorsPolicy",
            [
                "allow_origin_string_match": .array(
                    policy.allowOriginStringMatch.map { RouteMatchRendering.stringMatch($0) }),
                "allow_methods": given(policy.allowMethods), "allow_headers": given(policy.allowHeaders),
                "expose_headers": given(policy.exposeHeaders), "max_age": given(policy.maxAge),
                "allow_credentials": .bool(policy.allowCredentials),
                "forward_not_matching_preflights": .bool(policy.forwardNotMatchingPreflights),
                "filter_enabled": ["default_value": fraction(1_000_000)],
            ])
    }

    static func hashPolicy(_ policy: HashPolicy) -> JSON {
        switch policy {
        case .header(let name): ["header": ["header_name": .string(name)]]
        case .sourceIP: ["connection_properties": ["source_ip": true]]
        case .queryParameter(let name): ["query_parameter": ["name": .string(name)]]
        case .cookie(let name, let ttl, let path):
            [
                "cookie": [
                    "name": .string(name), "ttl": ttl.map { .duration(ms: $0) },
                    "path": path.isEmpty ? nil : .string(path),
                ]
            ]
        }
    }

    static func redirect(_ redirect: RedirectAction, place: String) throws(EnvoyRenderingError) -> JSON {
        let codes = [
            301: "MOVED_PERMANENTLY", 302: "FOUND", 303: "SEE_OTHER", 307: "TEMPORARY_REDIRECT",
            308: "PERMANENT_REDIRECT",
        ]
        guard let code = codes[redirect.responseCode] else {
            throw EnvoyRenderingError(
                place: place, problem: "it redirects with status \(redirect.responseCode)",
                remedy: "use 301, 302, 303, 307 or 308")
        }
        return [
            "response_code": .string(code),
            "scheme_redirect": redirect.schemeRedirect.map(JSON.string),
            "host_redirect": redirect.hostRedirect.map(JSON.string),
            "port_redirect": redirect.portRedirect.map { .number(Int($0)) },
            "path_redirect": redirect.pathRedirect.map(JSON.string),
        ]
    }

    static func fault(_ fault: HTTPFault) -> JSON {
        .typed(
            faultType,
            [
                "delay": fault.delay.map { delay in
                    ["fixed_delay": .duration(ms: delay.fixedDelayMs), "percentage": fraction(delay.perMillion)]
                },
                "abort": fault.abort.map { abort in
                    switch abort.status {
                    case .http(let status):
                        ["http_status": .number(status), "percentage": fraction(abort.perMillion)]
                    case .grpc(let status):
                        ["grpc_status": .number(status), "percentage": fraction(abort.perMillion)]
                    }
                },
            ])
    }

    static func mirror(_ policy: RequestMirrorPolicy) -> JSON {
        [
            "cluster": .string(policy.cluster),
            "runtime_fraction": ["default_value": fraction(policy.perMillion)],
        ]
    }

    /// Adds header mutations to a route or a weighted cluster.
    static func add(_ headers: HeaderMutations?, to fields: inout [String: JSON]) {
        guard let headers else { return }
        func options(_ list: [HeaderValueOption]) -> JSON? {
            list.isEmpty
                ? nil
                : .array(
                    list.map { option in
                        [
                            "header": ["key": .string(option.name), "value": .string(option.value)],
                            "append_action": .string(option.action.rawValue),
                        ]
                    })
        }
        func names(_ list: [String]) -> JSON? { list.isEmpty ? nil : .array(list.map(JSON.string)) }
        fields["request_headers_to_add"] = options(headers.requestHeadersToAdd)
        fields["request_headers_to_remove"] = names(headers.requestHeadersToRemove)
        fields["response_headers_to_add"] = options(headers.responseHeadersToAdd)
        fields["response_headers_to_remove"] = names(headers.responseHeadersToRemove)
    }

    /// Adds a rewrite of the path to a route's action.
    static func add(_ rewrite: PathRewrite?, to fields: inout [String: JSON]) {
        switch rewrite {
        case nil: break
        case .prefix(let text): fields["prefix_rewrite"] = .string(text)
        case .regex(let pattern, let substitution):
            fields["regex_rewrite"] = [
                "pattern": ["regex": .string(pattern)], "substitution": .string(substitution),
            ]
        }
    }

    private static func fraction(_ perMillion: Int) -> JSON {
        ["numerator": .number(min(max(perMillion, 0), 1_000_000)), "denominator": "MILLION"]
    }
}
