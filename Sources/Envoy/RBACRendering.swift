import ProxyModel

/// Renders RBAC filters: Envoy's `extensions.filters.http.rbac.v3.RBAC` and its network counterpart.
enum RBACRendering {
    /// An HTTP filter before the router.
    static func filter(_ filter: HTTPFilter) -> JSON {
        switch filter {
        case .rbac(let rbac):
            [
                "name": "envoy.filters.http.rbac",
                "typed_config": .typed("envoy.extensions.filters.http.rbac.v3.RBAC", fields(rbac)),
            ]
        case .externalAuthorization(let filter): ExternalAuthorizationRendering.filter(filter)
        }
    }

    /// A network filter before the TCP proxy.
    static func networkFilter(_ rbac: RBAC) -> JSON {
        guard case .object(var fields) = fields(rbac) else { return [:] }
        fields["stat_prefix"] = "tcp."
        return [
            "name": "envoy.filters.network.rbac",
            "typed_config": .typed("envoy.extensions.filters.network.rbac.v3.RBAC", .object(fields)),
        ]
    }

    private static func fields(_ rbac: RBAC) -> JSON {
        [
            "rules": rbac.rules.map(rules),
            "shadow_rules": rbac.shadowRules.map(rules),
            "shadow_rules_stat_prefix":
                rbac.shadowRulesStatPrefix.isEmpty ? nil : .string(rbac.shadowRulesStatPrefix),
        ]
    }

    private static func rules(_ rules: RBACRules) -> JSON {
        let policies = rules.policies.map { policy in
            (
                policy.name,
                [
                    "permissions": .array(policy.permissions.map(permission)),
                    "principals": .array(policy.principals.map(principal)),
                ] as JSON
            )
        }
        return [
            "action": .string(rules.action.rawValue),
            "policies": .object(Dictionary(policies, uniquingKeysWith: { first, _ in first })),
        ]
    }

    private static func permission(_ permission: RBACPermission) -> JSON {
        switch permission {
        case .any: ["any": true]
        case .and(let list): ["and_rules": ["rules": .array(list.map(Self.permission))]]
        case .or(let list): ["or_rules": ["rules": .array(list.map(Self.permission))]]
        case .not(let inner): ["not_rule": Self.permission(inner)]
        case .header(let match): ["header": header(match)]
        case .urlPath(let match): ["url_path": ["path": RouteMatchRendering.stringMatch(match)]]
        case .uriTemplate(let template):
            [
                "uri_template": [
                    "name": "uri-template",
                    "typed_config": .typed(
                        "envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig",
                        ["path_template": .string(template)]),
                ]
            ]
        case .destinationIP(let prefix): ["destination_ip": .range(prefix)]
        case .destinationPort(let port): ["destination_port": .number(Int(port))]
        case .requestedServerName(let match): ["requested_server_name": RouteMatchRendering.stringMatch(match)]
        }
    }

    private static func principal(_ principal: RBACPrincipal) -> JSON {
        switch principal {
        case .any: ["any": true]
        case .and(let list): ["and_ids": ["ids": .array(list.map(Self.principal))]]
        case .or(let list): ["or_ids": ["ids": .array(list.map(Self.principal))]]
        case .not(let inner): ["not_id": Self.principal(inner)]
        case .authenticated(let match):
            ["authenticated": ["principal_name": RouteMatchRendering.stringMatch(match)]]
        case .directRemoteIP(let prefix): ["direct_remote_ip": .range(prefix)]
        case .remoteIP(let prefix): ["remote_ip": .range(prefix)]
        case .header(let match): ["header": header(match)]
        case .claim(let path, let match):
            [
                "metadata": [
                    "filter": "envoy.filters.http.jwt_authn",
                    "path": .array((["payload"] + path).map { ["key": .string($0)] }),
                    "value": ["string_match": RouteMatchRendering.stringMatch(match)],
                ]
            ]
        }
    }

    private static func header(_ match: RBACHeaderMatch) -> JSON {
        if case .present = match.match { return ["name": .string(match.name), "present_match": true] }
        guard case .object(var text) = RouteMatchRendering.stringMatch(match.match) else { return [:] }
        if match.ignoresCase { text["ignore_case"] = true }
        return ["name": .string(match.name), "string_match": .object(text)]
    }
}
