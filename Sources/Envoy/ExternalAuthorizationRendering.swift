import ProxyModel

/// Renders external authorization: Envoy's `extensions.filters.http.ext_authz.v3.ExtAuthz`.
enum ExternalAuthorizationRendering {
    static func filter(_ filter: ExternalAuthorization) -> JSON {
        let service: JSON = [
            "server_uri": [
                "uri": .string("http://\(filter.serverName)"), "cluster": .string(filter.cluster),
                "timeout": .duration(ms: filter.timeoutMs),
            ],
            "path_prefix": filter.pathPrefix.isEmpty ? nil : .string(filter.pathPrefix),
            "authorization_request": filter.headersToAdd.isEmpty
                ? nil
                : [
                    "headers_to_add": .array(
                        filter.headersToAdd.map { ["key": .string($0.name), "value": .string($0.value)] })
                ],
            "authorization_response": [
                "allowed_upstream_headers": list(filter.allowedUpstreamHeaders),
                "allowed_client_headers": list(filter.allowedClientHeaders),
                "allowed_client_headers_on_success": list(filter.allowedClientHeadersOnSuccess),
            ],
        ]
        return [
            "name": "envoy.filters.http.ext_authz",
            "typed_config": .typed(
                "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
                [
                    "transport_api_version": "V3",
                    "failure_mode_allow": .bool(filter.failureModeAllow),
                    "status_on_error": ["code": .number(filter.statusOnError)],
                    "http_service": service,
                    "allowed_headers": list(filter.allowedHeaders),
                    "filter_enabled_metadata": [
                        "filter": "envoy.filters.http.rbac",
                        "path": [["key": "istio_ext_authz_shadow_effective_policy_id"]],
                        "value": ["string_match": ["prefix": .string(filter.policyPrefix)]],
                    ],
                ]),
        ]
    }

    private static func list(_ matches: [StringMatch]) -> JSON? {
        if matches.isEmpty { return nil }
        let patterns = matches.map { match -> JSON in
            guard case .object(var text) = RouteMatchRendering.stringMatch(match) else { return [:] }
            text["ignore_case"] = true
            return .object(text)
        }
        return ["patterns": .array(patterns)]
    }
}
